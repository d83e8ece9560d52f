"""install - the libraries as somebody else's program meets them: installed below a prefix, moved to
another place, found with pkg-config, linked shared and static, and at work with a real sewad."""
import os
import re
import shlex
import shutil
import subprocess
import unittest

from scratch import DEADLINE_S
from sewa import ServiceTest
from toys import toy_service

BUILD = os.environ["SEWA_BUILD"]
COMPILER = os.environ["SEWA_CC"].split()
SANITIZE = ["-fsanitize=" + os.environ["SEWA_SANITIZE"]] if os.environ.get("SEWA_SANITIZE") else []

# loss = sum over the float tensors of (w - target)^2 / 2
EVALUATOR = r"""
#include <sewa/evaluator.h>
#include <stdio.h>
#include <string.h>

struct mine {
    double target;
    struct sewa_evaluator_split splits[2];
};

static int setup(struct sewa_evaluator_ops *self, const struct sewa_evaluator_model *model,
                 const char *options, struct sewa_evaluator_traits *ret, struct sewa_error *err)
{
    struct mine *m = self->user;

    if (!sewa_evaluator_find(model, "w"))
        return sewa_fail(err, SEWA_E_MISMATCH, "there is no tensor 'w'");
    if (sscanf(options, "{\"target\":%lf", &m->target) != 1)
        return sewa_fail(err, SEWA_E_INVALID, "options are '%s'", options);
    printf("libsewa-evaluator %s, target %g\n", sewa_version(), m->target);
    fflush(stdout);
    m->splits[0].name = "selection";
    m->splits[1].name = "report";
    ret->gradient = true;
    ret->split_count = 2;
    ret->splits = m->splits;
    return 0;
}

static int loss(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                struct sewa_evaluator_answer *ret, struct sewa_error *err)
{
    const struct mine *m = self->user;

    (void)err;
    ret->loss = 0;
    for (size_t i = 0; i < request->model->count; i++) {
        const struct sewa_evaluator_tensor *t = &request->model->tensors[i];
        const float *w = t->values;
        for (int64_t j = 0; strcmp(t->dtype, "F32") == 0 && j < t->elements; j++) {
            double difference = w[j] - m->target;
            ret->loss += difference * difference / 2;
            if (request->gradient)
                t->gradient[j] = (float)difference;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct mine m = { 0 };
    struct sewa_evaluator_ops ops = { .user = &m, .setup = setup, .loss = loss };

    if (strcmp(sewa_version(), SEWA_VERSION) != 0)
        return 3;
    return sewa_evaluator_run(&ops, argc, argv);
}
"""

CLIENT = r"""
#include <sewa/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sewa_error err;

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %d: %s\n", what, rc, err.text);
    exit(1);
}

static int on_log(struct sewa_sink *self, const void *data, size_t n, struct sewa_error *e)
{
    (void)e;
    return fwrite(data, 1, n, self->user) == n ? 0 : SEWA_E_IO;
}

static void tensors(struct sewa_client *c, const char *id)
{
    struct sewa_tensor_list l = { 0 };
    char *token = NULL;

    do { /* pages of two */
        must(sewa_tensor_list(c, id, 2, token, &l, &err), "tensors");
        for (size_t i = 0; i < l.count; i++) {
            printf("tensor %s %s", l.items[i].name, l.items[i].dtype);
            for (size_t r = 0; r < l.items[i].rank; r++)
                printf(" %d", (int)l.items[i].shape[r]);
            printf("\n");
        }
        free(token);
        token = l.next_page_token ? strdup(l.next_page_token) : NULL;
        sewa_tensor_list_clear(&l);
    } while (token);
    printf("refused %s\n", sewa_code_info(sewa_tensor_list(c, "ckpt_x", 0, NULL, &l, &err))->slug);
}

static void checkpoints(struct sewa_client *c)
{
    struct sewa_checkpoint_list l = { 0 };
    struct sewa_checkpoint k = { 0 };

    must(sewa_checkpoint_list(c, "toy", NULL, &l, &err), "list");
    must(sewa_checkpoint_patch(c, l.items[0].id, "{\"pinned\": true, \"labels\": {\"a\": \"b\"}}", &k,
                               &err), "patch");
    printf("step %d pinned %d %s=%s\n", (int)k.step, k.is_pinned, k.labels[0].key, k.labels[0].value);
    sewa_checkpoint_clear(&k);
    tensors(c, l.items[0].id);
    sewa_checkpoint_list_clear(&l);
}

int main(int argc, char **argv)
{
    const struct sewa_client_options o = { .url = argv[1] };
    struct sewa_sink sink = { .user = stdout, .write = on_log };
    struct sewa_client *c = NULL;
    struct sewa_job job = { 0 };
    char id[64];

    (void)argc;
    printf("libsewa %s %s\n", sewa_version(), SEWA_VERSION);
    must(sewa_client_open(&o, &c, &err), "open");
    checkpoints(c);
    must(sewa_evaluator_check(c, "mine", "{\"run\": \"toy\"}", NULL, &job, &err), "check");
    snprintf(id, sizeof id, "%s", job.id);
    sewa_job_clear(&job);
    must(sewa_job_wait(c, id, -1, &job, &err), "wait");
    printf("%s, gradient %d\n", job.state_name, job.check && job.check->is_gradient_right);
    sewa_job_clear(&job);
    must(sewa_job_logs(c, id, false, &sink, &err), "logs");
    sewa_client_close(c);
    return 0;
}
"""


class Moved(ServiceTest):
    def setUp(self):
        super().setUp()
        first, self.prefix = self.scratch.join("first"), self.scratch.join("second", "place")
        for part in ("proto", "client"):
            subprocess.run([os.environ["SEWA_CMAKE"], "--install", os.path.join(BUILD, part), "--prefix",
                            first], check=True, stdout=subprocess.DEVNULL)
        os.mkdir(self.scratch.join("second"))
        shutil.move(first, self.prefix)
        found = [d for d, _, files in os.walk(self.prefix) if "libsewa.pc" in files]
        self.assertEqual(len(found), 1)
        self.pc = found[0]
        self.libraries = os.path.dirname(self.pc)

    def pkg_config(self, *words):
        return shlex.split(subprocess.run(
            ["pkg-config", *words], check=True, stdout=subprocess.PIPE, universal_newlines=True,
            env=dict(os.environ, PKG_CONFIG_PATH=self.pc)).stdout)

    def link(self, package, kind):
        """The words that link with a package."""
        shared = self.pkg_config("--libs", package)
        if kind == "shared":
            return [*shared, "-Wl,-rpath," + self.libraries]
        others = [re.split("[ <>=]", name)[0]
                  for name in self.pkg_config("--print-requires-private", package)]
        self.assertIn("jansson", others)
        ours = [re.sub("^-l(sewa.*)$", r"-l:lib\1.a", word) for word in shared]
        return [*ours, *self.pkg_config("--libs", *others), "-pthread"]

    def build(self, name, source, package, kind):
        program = self.scratch.join("%s-%s" % (name, kind))
        path = self.scratch.write(name + ".c", source)
        command = [*COMPILER, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", *SANITIZE, path,
                   *self.pkg_config("--cflags", package), "-o", program, *self.link(package, kind)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, check=False)
        self.assertEqual(done.returncode, 0, "%s\n%s" % (" ".join(command), done.stdout))
        needed = subprocess.run(["readelf", "-d", program], check=True, stdout=subprocess.PIPE,
                                universal_newlines=True).stdout
        self.assertEqual("[%s.so" % package in needed, kind == "shared", needed)
        return program

    def test_programs_of_somebody_else(self):
        version = self.pkg_config("--modversion", "libsewa")[0]
        self.assertEqual(self.pkg_config("--modversion", "libsewa-evaluator")[0], version)
        for package in ("libsewa", "libsewa-evaluator"):
            self.assertEqual(os.path.realpath(self.pkg_config("--variable=libdir", package)[0]),
                             os.path.realpath(self.libraries))
        evaluators = {kind: self.build("evaluator", EVALUATOR, "libsewa-evaluator", kind)
                      for kind in ("shared", "static")}
        sewad = toy_service(self, {"mine": {"command": [evaluators["shared"]],
                                            "options": '{"target":0.5}'}})
        first = self.scratch.join("toy", "step-100.safetensors")
        self.assertTrue(os.path.exists(first))
        for kind in ("shared", "static"):
            program = self.build("client", CLIENT, "libsewa", kind)
            done = subprocess.run([program, "http://" + sewad.address], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=False, universal_newlines=True,
                                  timeout=4 * DEADLINE_S, env=self.scratch.environment())
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
            self.assertEqual(done.stdout.splitlines(), [
                "libsewa %s %s" % (version, version), "step 100 pinned 1 a=b",
                *described_tensors(sewad), "refused not_found", "succeeded, gradient 1",
                "libsewa-evaluator %s, target 0.5" % version])
        static = subprocess.run([evaluators["static"], "--version"], check=True, stdout=subprocess.PIPE,
                                universal_newlines=True, env=self.scratch.environment()).stdout
        self.assertIn("evaluator protocol ", static)


def described_tensors(sewad):
    """As the service says it."""
    item = sewad.get("/api/v1/runs/toy/checkpoints")["items"][0]
    tensors = sewad.get("/api/v1/checkpoints/%s/tensors" % item["id"])["items"]
    return ["tensor %s %s%s" % (t["name"], t["dtype"], "".join(" %d" % n for n in t["shape"]))
            for t in tensors]


if __name__ == "__main__":
    unittest.main()
