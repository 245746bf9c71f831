"""Turn images into vectors: by an ONNX model, or by a user's function.

embedder.py        what computes the vectors of a task
model.py           which model, and what images the model takes: config and the YAML beside the model
network.py         an ONNX model in onnxruntime: images in, unit vectors out
user_function.py   a user's function: images in, vectors out
columns.py         the columns of the stage
rows.py            images decoded at the model's size; vectors as rows of a table"""
