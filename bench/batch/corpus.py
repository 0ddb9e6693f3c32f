"""The local table of notes that the look-ups of (c) read, for the peers."""

import sqlite3

import questions


class Corpus:
    def __init__(self, path):
        self.database = sqlite3.connect(path)

    def notes(self, name):
        row = self.database.execute(questions.LOOKUP_SQL, (name,)).fetchone()
        return row[1] if row else questions.NOTHING_KNOWN
