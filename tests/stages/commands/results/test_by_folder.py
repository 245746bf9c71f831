"""Summaries of files by folder."""

from stages.commands.results.by_folder import SHOWN, FolderCount, by_folder, folder_lines, known_images

IMAGES = {"/p/a": 2, "/p/a/x": 1, "/p/b": 3, "/q": 1}


def test_a_tree_that_is_removed_entirely_is_one_line() -> None:
    files = [("/p/a/1", 10), ("/p/a/2", 10), ("/p/a/x/1", 10), ("/p/b/1", 5), ("/q/1", 7)]
    assert by_folder(files, IMAGES) == [
        FolderCount("/p/a", 3, 3, 30, True),
        FolderCount("/q", 1, 1, 7),
        FolderCount("/p/b", 1, 3, 5),
    ]
    assert list(folder_lines(by_folder(files, IMAGES), "would be removed")) == [
        "  3 of 3 images of /p/a and its subfolders would be removed, 30 bytes",
        "  1 of 1 images of /q would be removed, 7 bytes",
        "  1 of 3 images of /p/b would be removed, 5 bytes",
    ]


def test_all_of_a_subtree_but_not_of_the_folder_around_it() -> None:
    assert by_folder([("/p/a/x/1", 1), ("/p/a/1", 1)], IMAGES) == [
        FolderCount("/p/a", 1, 2, 1),
        FolderCount("/p/a/x", 1, 1, 1),
    ]


def test_a_folder_without_images_of_its_own_is_removed_as_a_whole() -> None:
    assert by_folder([("/p/a/1", 1), ("/p/b/1", 1)], {"/p/a": 1, "/p/b": 1, "/q": 1}) == [
        FolderCount("/p", 2, 2, 2, True)
    ]


def test_without_the_run_no_total_is_printed() -> None:
    found = by_folder([("/p/a/1", 1), ("/1", 1)], known_images("/no/run"))
    assert list(folder_lines(found, "moved")) == ["  1 images of / moved, 1 bytes", "  1 images of /p/a moved, 1 bytes"]


def test_many_folders_are_cut() -> None:
    lines = list(folder_lines(by_folder([(f"/{n}/1", n) for n in range(SHOWN + 3)], {}), "would be removed"))
    assert len(lines) == SHOWN + 1
    assert lines[0] == "  1 images of /22 would be removed, 22 bytes"
    assert lines[-1] == "  3 images of 3 more folders would be removed, 3 bytes"
