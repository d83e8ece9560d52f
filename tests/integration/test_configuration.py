"""configuration - what sewad says about a file before it runs with it."""
import subprocess
import unittest

from sewa import ServiceTest, binary


class Configuration(ServiceTest):
    def sewad(self, text, *arguments):
        """Status and stderr of a sewad that is not expected to stay."""
        self.path = self.scratch.write("sewad.conf", text)
        done = subprocess.run([binary("sewad"), "--config", self.path, *arguments], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=300,
                              env=self.scratch.environment())
        return done.returncode, done.stdout + done.stderr

    def test_check_config_names_what_is_not_there(self):
        here = self.scratch.directory("here")
        good = "run 'a' { path = '%s' }\nevaluator 'e' { command = {'sh', 'x'} }\n" % here
        self.assertEqual(self.sewad(good, "--check-config"),
                         (0, "the configuration is fine\n"))
        bad = good + ("run 'b' { path = '%s/no' }\nevaluator 'f' { command = 'sh x' }\n"
                      "evaluator 'g' { command = {'no-such-program'} }\n" % here)
        status, said = self.sewad(bad, "--check-config")
        self.assertEqual(status, 1)
        for line, words in ((3, "run b: there is no directory '%s/no'" % here),
                            (4, "evaluator f: no shell splits the command 'sh x'"),
                            (5, "evaluator g: there is no program 'no-such-program'")):
            self.assertIn("%s:%d: %s" % (self.path, line, words), said)
        self.assertNotIn("run a", said)
        self.assertNotIn("evaluator e", said)

    def test_what_only_this_version_refuses_has_a_line_too(self):
        for text, words in (("\nlisten = '0.0.0.0:0'\n", "is not a loopback address"),
                            ("\nauthentication = tokens\n", "is not available in version"),
                            ("\ndevice_slots = {0, 1, 0}\n", "device_slots has '0' twice")):
            for arguments in ((), ("--check-config",)):
                with self.subTest(text=text, arguments=arguments):
                    status, said = self.sewad(text, *arguments)
                    self.assertEqual(status, 1)
                    self.assertIn("%s:2: " % self.path, said)
                    self.assertIn(words, said)
        status, said = self.sewad("listen = '127.0.0.1:0'\n", "--listen", "0.0.0.0:0")
        self.assertEqual(status, 1)
        self.assertNotIn("sewad.conf:", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
