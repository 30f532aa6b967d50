"""What a run owns while other runs begin and end beside it."""
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from report import owned


class BesideOthersTest(unittest.TestCase):
    def setUp(self):
        self.place = Path(tempfile.mkdtemp(prefix="owned_test-"))
        self.addCleanup(owned.remove, self.place)

    def made_while(self, meanwhile) -> list[str]:
        """The folders that were made until one could be kept; `meanwhile(folder)` happens after the first, before its lock."""
        folders = []

        def make(**arguments):
            folders.append(self.mkdtemp(**arguments))
            if len(folders) == 1:
                meanwhile(Path(folders[0]))
            return folders[-1]

        self.mkdtemp = tempfile.mkdtemp
        with mock.patch("tempfile.mkdtemp", make):
            folder, lock = owned.made_and_locked(self.place, "run-")
        self.addCleanup(os.close, lock)
        self.assertEqual(str(folder), folders[-1])
        self.assertTrue(folder.is_dir())
        self.assertIsNone(owned.locked(folder))  # it is held
        return folders

    def test_a_folder_that_another_run_sweeps_before_it_is_locked(self):
        self.assertEqual(len(self.made_while(lambda _folder: owned.sweep({self.place: "run-"}))), 2)

    def test_a_folder_that_another_run_is_about_to_remove(self):
        def lock(folder):
            self.addCleanup(os.close, owned.locked(folder))

        self.assertEqual(len(self.made_while(lock)), 2)

    def test_a_folder_that_is_removed_between_the_opening_and_the_lock(self):
        flock = owned.fcntl.flock

        def removed_first(descriptor, how):
            if (folders := list(self.place.iterdir())) and not self.removed:
                self.removed = True
                owned.remove(folders[0])
            flock(descriptor, how)

        self.removed = False
        with mock.patch.object(owned.fcntl, "flock", removed_first):
            folder, lock = owned.made_and_locked(self.place, "run-")
        os.close(lock)
        self.assertTrue(self.removed and folder.is_dir())

    def test_a_folder_that_is_locked_stays(self):
        folder, lock = owned.made_and_locked(self.place, "run-")
        owned.sweep({self.place: "run-"})
        self.assertTrue(folder.is_dir())
        os.close(lock)
        owned.sweep({self.place: "run-"})
        self.assertFalse(folder.exists())
