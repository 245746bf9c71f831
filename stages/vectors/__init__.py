"""Turn images into vectors: by an ONNX model, or by a user's function.

embedder.py        the model or the function of a task, called for images
model.py           options of a model, from the config and the YAML file beside the model
network.py         an ONNX model in onnxruntime: images in, unit vectors out
user_function.py   a user's function: images in, vectors out
columns.py         the columns of the stage
rows.py            images decoded at the model's size; vectors as rows of a table"""
