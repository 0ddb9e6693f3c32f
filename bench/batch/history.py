"""What our program has learned of earlier runs (how long answers are, how often a condition holds), in the
bench's own cache: forgotten before a pipeline, and the same for each of its rounds."""

import pathlib
import shutil

FILE = "statistics.sqlite"


class History:
    def __init__(self, cache, keep_in):
        self.cache = pathlib.Path(cache)
        self.kept = pathlib.Path(keep_in) / "history"

    def files(self, folder):
        return [path for path in folder.glob(f"{FILE}*") if path.is_file()]

    def forget(self):
        for path in self.files(self.cache):
            path.unlink()

    def keep(self):
        """What is known now is what restore() brings back."""
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir(parents=True)
        for path in self.files(self.cache):
            shutil.copy(path, self.kept)

    def restore(self):
        self.forget()
        for path in self.files(self.kept):
            shutil.copy(path, self.cache)
