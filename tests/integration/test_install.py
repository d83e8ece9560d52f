"""install - what `cmake --install` puts where agrees with what it says about places."""
import os
import re
import shutil
import subprocess
import unittest
from unittest import mock

from sewa import REPOSITORY, ServiceTest, toy_evaluator
from toys import toy_run

# What systemd-analyze gives the unit, of 10; what it finds more is either closed or explained there.
EXPOSURE_MAX = 1.6


class Install(ServiceTest):
    def install(self, prefix):
        """Install below a folder of this test, as a packager does; its path."""
        root = self.scratch.directory("root" + prefix.replace("/", "-"))
        subprocess.run([os.environ["SEWA_CMAKE"], "--install", os.environ["SEWA_BUILD"],
                        "--prefix", prefix], check=True, stdout=subprocess.DEVNULL,
                       env=self.scratch.environment(DESTDIR=root))
        return root

    def read(self, *path):
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read()

    def test_the_unit_starts_what_is_installed(self):
        for prefix in ("/usr/local", "/usr", "/opt/sewa"):
            with self.subTest(prefix=prefix):
                root = self.install(prefix)
                unit = self.read(root + prefix, "lib/systemd/system/sewad.service")
                self.assertNotRegex(unit, r"@\w+@")
                words = re.search("^ExecStart=(.*)$", unit, re.MULTILINE)[1].split()
                self.assertEqual(words[:2], [prefix + "/sbin/sewad", "--config"])
                said = subprocess.run([root + words[0], "--help"], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout
                self.assertIn("default: " + words[2], said)
                user = re.search("^User=(.*)$", unit, re.MULTILINE)[1]
                users = self.read(root + prefix, "lib/sysusers.d/sewad.conf")
                self.assertRegex(users, r"(?m)^u %s " % user)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_the_unit_is_confined_and_says_why_not_more(self):
        unit = os.path.join(self.install("/usr"), "usr/lib/systemd/system/sewad.service")
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.scratch.environment(LC_ALL="C.UTF-8", NO_COLOR="1"))
        if "unrecognized option" in done.stderr:
            self.skipTest("this systemd-analyze cannot judge a file")
        level = re.search(r"Overall exposure level for sewad\.service: ([0-9.]+)", done.stdout)
        self.assertIsNotNone(level, done)
        self.assertLessEqual(float(level[1]), EXPOSURE_MAX, done.stdout)
        open_ways = set(re.findall(r"^\S* *([A-Z][A-Za-z]+)=\S* .* [0-9]\.[0-9]$", done.stdout,
                                   re.MULTILINE))
        self.assertIn("PrivateNetwork", open_ways)
        text = self.read(unit)
        for name in open_ways:
            self.assertIn(name, text)

    def test_the_programs_find_each_other_there(self):
        root = self.install("/opt/sewa")
        toy_run(self.scratch.join("toy"), [1, 2, 3])
        with mock.patch.dict(os.environ, SEWA_BIN=root + "/opt/sewa/sbin"):
            sewad = self.service({"run": {"toy": {"path": self.scratch.join("toy")}},
                                  "evaluator": {"toy": toy_evaluator()}})
        sewad.wait_complete("toy", 3)
        done = sewad.run_job(run="toy", method="uniform", evaluator="toy")
        self.assertEqual(done["state"], "succeeded", done["reason"])

    def test_documents_are_there_and_find_each_other(self):
        documents = os.path.join(self.install("/usr/local"), "usr/local/share/doc/sewa")
        readme = self.read(documents, "README.md")
        self.assertEqual(readme, self.read(REPOSITORY, "README.md"))
        links = [link for link in re.findall(r"\]\(([^):]+)\)", readme)
                 if not link.endswith(".h")]
        self.assertGreater(len(links), 6)
        for link in links:
            self.assertTrue(os.path.exists(os.path.join(documents, link)), link)


if __name__ == "__main__":
    unittest.main(verbosity=2)
