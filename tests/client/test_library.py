"""library - libsewa as a program of somebody else sees it: its symbols, its header, and how it is found."""
import os
import re
import shutil
import subprocess
import unittest

from ctl import CtlTest
from fake import API, Fake, job, reply, routes
from sewa import REPOSITORY, binary

LIBRARIES = os.environ["SEWA_LIBRARIES"]  # libsewa.so
ARCHIVE = os.environ["SEWA_ARCHIVE"]      # libsewa.a
EVALUATOR_ARCHIVE = os.environ["SEWA_EVALUATOR_ARCHIVE"]
BUILD = os.environ["SEWA_BUILD"]
COMPILER = os.environ["SEWA_CC"].split()
SANITIZE = os.environ.get("SEWA_SANITIZE", "")
EVALUATOR_LIBRARY = os.environ["SEWA_EVALUATOR_LIBRARY"]
HEADER = os.path.join(REPOSITORY, "client", "include", "sewa", "client.h")
EVALUATOR_HEADER = os.path.join(REPOSITORY, "client", "include", "sewa", "evaluator.h")


def symbols(*options, which="--defined-only"):
    """Names that are defined (or wanted), but for those that sanitizers add."""
    lines = subprocess.run(["nm", which, *options], check=True, stdout=subprocess.PIPE,
                           universal_newlines=True).stdout.splitlines()
    names = {line.split()[-1].split("@")[0] for line in lines if len(line.split()) in (2, 3)}
    return {n for n in names if not n.startswith("__")}


def declared(header=HEADER):
    """Functions that a header exports, with those that it includes."""
    names = set()
    for path in (header, os.path.join(REPOSITORY, "proto", "sewa", "error.h"),
                 os.path.join(BUILD, "proto", "sewa", "version.h")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        names |= set(re.findall(r"^SEWA_EXPORT[^(;]*?\b(\w+)\(", text, re.M))
    return names


class Symbols(unittest.TestCase):
    def test_what_is_exported_is_what_the_headers_declare(self):
        self.assertGreater(len(declared()), 40)
        self.assertEqual(symbols("-D", "--extern-only", LIBRARIES), declared())
        self.assertEqual(symbols("-D", "--extern-only", EVALUATOR_LIBRARY), declared(EVALUATOR_HEADER))

    def test_the_archive_takes_no_other_names(self):
        names = symbols("--extern-only", ARCHIVE)
        self.assertLessEqual(declared(), names)
        self.assertEqual({n for n in names if not n.startswith("sewa_")}, set())

    def test_an_archive_wants_nothing_that_is_not_installed(self):
        for archive in (ARCHIVE, EVALUATOR_ARCHIVE):
            wanted = symbols("--extern-only", archive, which="--undefined-only")
            ours = {n for n in wanted if n.startswith("sewa_")}
            self.assertGreater(len(ours), 2)
            self.assertEqual(ours - symbols("--extern-only", archive), set())

    def test_the_name_that_programs_remember(self):
        """It has the major version, as the file has the whole: libsewa.so.0 of libsewa.so.0.1.0."""
        for path in (LIBRARIES, EVALUATOR_LIBRARY):
            text = subprocess.run(["readelf", "-d", path], check=True, stdout=subprocess.PIPE,
                                  universal_newlines=True).stdout
            stem, version = re.fullmatch(r"(libsewa[a-z-]*\.so)\.(\d+\.\d+\.\d+)",
                                         os.path.basename(os.path.realpath(path))).groups()
            self.assertIn("[%s.%s]" % (stem, version.split(".")[0]), text)
            with open(os.path.join(BUILD, "proto", "sewa", "version.h"), encoding="utf-8") as file:
                self.assertIn('#define SEWA_VERSION "%s"' % version, file.read())


class Header(CtlTest):
    def compile(self, compiler, source, *options):
        path = self.scratch.write("program.c", source)
        command = [*compiler, "-Wall", "-Wextra", "-Werror", path, *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, check=False)
        self.assertEqual(done.returncode, 0, "%s\n%s" % (" ".join(command), done.stdout))

    def installed(self):
        """Install the client into the scratch directory: options to compile and to link with it."""
        root = self.scratch.join("root")
        for part in ("proto", "client"):
            subprocess.run([os.environ["SEWA_CMAKE"], "--install", os.path.join(BUILD, part)],
                           check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, DESTDIR=root))
        found = [d for d, _, files in os.walk(root) if "libsewa.pc" in files]
        self.assertEqual(len(found), 1)
        environment = dict(os.environ, PKG_CONFIG_PATH=found[0])
        words = []
        for option in ("--cflags", "--libs"):
            words.append(subprocess.run(["pkg-config", option, "libsewa"], check=True,
                                        stdout=subprocess.PIPE, env=environment,
                                        universal_newlines=True).stdout.split())
        return root, words[0], words[1], os.path.dirname(found[0])

    def example(self):
        """The program in the opening comment of client.h."""
        with open(HEADER, encoding="utf-8") as file:
            lines = file.read().split("What holds for")[0].splitlines()
        code = [line[3:] for line in lines if line.startswith(" *     ")]
        self.assertGreater(len(code), 10)
        text = "\n".join(code).replace('"http://127.0.0.1:8787"', "argv[1]")
        return ("#include <sewa/client.h>\n#include <stdio.h>\nint main(int argc, char **argv)\n"
                "{\n    (void)argc;\n%s\n    return rc < 0;\n}\n" % text)

    def test_the_example_is_a_program(self):
        _, cflags, libs, directory = self.installed()
        sanitize = ["-fsanitize=" + SANITIZE] if SANITIZE else []
        program = self.scratch.join("program")
        self.compile(COMPILER, self.example(), "-std=c99", *sanitize, *cflags, "-o", program, *libs)
        done = job("succeeded", result={"verdict": "improved", "verdict_detail": "by a lot"})
        table = {"POST %s/jobs" % API: reply(201, job("queued")),
                 "GET %s/jobs/job_1" % API: reply(200, done)}
        environment = self.scratch.environment(LD_LIBRARY_PATH=directory)
        with Fake(routes(table)) as fake:
            out = subprocess.run([program, fake.url], check=True, stdout=subprocess.PIPE,
                                 env=environment, universal_newlines=True).stdout
            self.assertEqual(out, "improved: by a lot\n")
            self.assertEqual(fake.requests[0].json(), {"run": "digits", "evaluator": "digits"})

    def test_installed_sewactl_finds_its_library(self):
        root, _, _, _ = self.installed()
        path = [os.path.join(d, "sewactl") for d, _, files in os.walk(root) if "sewactl" in files]
        out = subprocess.run([path[0], "--version"], check=True, stdout=subprocess.PIPE,
                             env=self.scratch.environment(), universal_newlines=True).stdout
        self.assertTrue(out.startswith("sewactl "))

    def test_the_header_stands_alone(self):
        _, cflags, _, _ = self.installed()
        source = "#include <sewa/client.h>\nint main(void) { return sewa_fail(0, 0, \"x\") > 0; }\n"
        self.compile(COMPILER, source, "-std=c99", "-pedantic", "-fsyntax-only", *cflags)
        if shutil.which("c++"):
            self.compile(["c++", "-x", "c++"], source, "-std=c++11", "-pedantic",
                         "-fsyntax-only", *cflags)

    def test_the_library_of_the_build_is_the_one_that_is_used(self):
        out = subprocess.run(["ldd", binary("sewactl")], check=True, stdout=subprocess.PIPE,
                             universal_newlines=True).stdout
        self.assertRegex(out, r"libsewa\.so\.\d+ => " + re.escape(os.path.realpath(BUILD)))


if __name__ == "__main__":
    unittest.main()
