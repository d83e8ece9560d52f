/*
 * commands - the table of all commands. Parser, help and the bodies of requests are made from it.
 */
#include "commands.h"

#include "../cleanup.h"
#include "list_view.h"
#include "progress.h"

/* clang-format off */
#define FLAG(name, help)              { 0, name, NULL, help, OPTION_FLAG, NULL, 0, 0, NULL }
#define TEXT(name, value, help)       { 0, name, value, help, OPTION_TEXT, NULL, 0, 0, NULL }
#define NUMBER(name, value, help, from, to) \
    { 0, name, value, help, OPTION_NUMBER, NULL, from, to, NULL }
/* the same with the field of a request that they fill */
#define FLAG_FIELD(name, field, help) { 0, name, NULL, help, OPTION_FLAG, field, 0, 0, NULL }
#define TEXT_FIELD(name, value, field, help) \
    { 0, name, value, help, OPTION_TEXT, field, 0, 0, NULL }
#define NUMBER_FIELD(name, value, field, help, from, to) \
    { 0, name, value, help, OPTION_NUMBER, field, from, to, NULL }
#define WORD_FIELD(name, value, field, help, words) \
    { 0, name, value, help, OPTION_WORD, field, 0, 0, words }
#define END { 0, NULL, NULL, NULL, OPTION_FLAG, NULL, 0, 0, NULL }

static const char *const formats[] = { "table", "json", "jsonl", "name", NULL };
static const char *const integers[] = { "newest", "oldest", "max", "equal", NULL };
static const char *const dtypes[] = { "input", "F32", "BF16", "F16", NULL };
static const char *const job_states[] = { "queued", "starting", "running", "publishing",
                                          "cancelling", "succeeded", "failed", "cancelled", NULL };
static const char *const checkpoint_states[] = { "incomplete", "complete", "changed", "gone", NULL };

static const struct option globals[] = {
    TEXT("url", "URL", "where the service is; default http://127.0.0.1:8787"),
    TEXT("socket", "PATH", "connect to this unix socket instead"),
    TEXT("token-file", "PATH", "the first line of this file is the token"),
    { 0, "token", NULL,
      "a token does not belong on a command line, where everybody on this machine can read it: use "
      "--token-file, SEWA_TOKEN_FILE or SEWA_TOKEN", OPTION_REFUSED, NULL, 0, 0, NULL },
    { 'o', "output", "FORMAT",
      "table, json (the object of the API, unchanged), jsonl (one a line) or name", OPTION_WORD,
      NULL, 0, 0, formats },
    { 'q', "quiet", NULL, "say nothing but data and errors", OPTION_FLAG, NULL, 0, 0, NULL },
    NUMBER("request-timeout", "S", "seconds for one answer; default 30", 1, 86400),
    FLAG("no-color", "no colours; NO_COLOR in the environment says the same"),
    { 'h', "help", NULL, "this text", OPTION_FLAG, NULL, 0, 0, NULL },
    END,
};

static const struct option list_options[] = { LIST_OPTIONS, END };

static const struct option run_create_options[] = {
    TEXT_FIELD("path", "DIRECTORY", "/path", "what is watched; below an allowed root of the service"),
    TEXT_FIELD("pattern", "PATTERN", "/pattern",
               "names of the files, like step-{step}.safetensors; default: the step is the number beside "
               "a word such as step or epoch, else the only one"),
    TEXT_FIELD("state-key", "KEY", "/state_key", "where the state dict sits in a .pt file"),
    TEXT_FIELD("marker", "NAME", "/marker", "a file that says that a checkpoint is complete"),
    NUMBER_FIELD("settle-seconds", "N", "/settle_seconds",
                 "a file is taken when it has not changed for so long", 0, 3600),
    { 'l', "label", "KEY=VALUE", "more than once for more than one", OPTION_LABEL, "/labels", 0, 0,
      NULL },
    END,
};

static const struct option checkpoint_list_options[] = {
    { 0, "state", "STATE", "incomplete, complete, changed or gone", OPTION_WORD, NULL, 0, 0,
      checkpoint_states },
    NUMBER("min-step", "N", "from this step on", 0, INT64_MAX),
    NUMBER("max-step", "N", "up to this step", 0, INT64_MAX),
    { 'l', "label", "KEY[=VALUE]", "with this label", OPTION_TEXT, NULL, 0, 0, NULL },
    TEXT("order-by", "ORDER",
         "step, discovered_at or metric.NAME, and behind a space asc or desc; default \"step asc\""),
    LIST_OPTIONS,
    END,
};

#define CHECKPOINTS_FIELD                                                                         \
    { 0, "checkpoint", "ID,...", "these checkpoints instead of a run's", OPTION_TEXTS,            \
      "/checkpoints", 0, 0, NULL }
#define LABEL_FIELD                                                                               \
    { 'l', "label", "KEY=VALUE", "more than once for more than one", OPTION_LABEL, "/labels", 0,  \
      0, NULL }
#define KEY_OPTION                                                                                \
    TEXT("idempotency-key", "KEY",                                                                \
         "sent again with the same key, the request gives the same job (for 24 hours)")

static const struct option evaluator_check_options[] = {
    { 'r', "run", "RUN", "on the two newest checkpoints of this run", OPTION_TEXT, "/run", 0, 0, NULL },
    CHECKPOINTS_FIELD,
    LABEL_FIELD,
    KEY_OPTION,
    FLAG("wait", "wait for the report"),
    NUMBER("timeout", "S", "wait so many seconds at most", 0, 1000000000),
    PROGRESS_OPTION,
    END,
};

/* The fields of a job's request. */
#define REQUEST_OPTIONS                                                                           \
    { 'r', "run", "RUN", "average checkpoints of this run", OPTION_TEXT, "/run", 0, 0, NULL },    \
    CHECKPOINTS_FIELD,                                                                            \
    { 'm', "method", "METHOD",                                                                    \
      "sewa, best, lawa, uniform, last and what else `method list` shows; default sewa",              \
      OPTION_TEXT, "/method", 0, 0, NULL },                                                       \
    { 'k', "select", "K",                                                                         \
      "how many checkpoints to choose: a number, several with commas, or auto",                   \
      OPTION_SELECT, "/select", 1, INT64_MAX, NULL },                                             \
    { 'e', "evaluator", "NAME", "who judges averages", OPTION_TEXT, "/evaluator", 0, 0, NULL },   \
    NUMBER_FIELD("window", "N", "/window", "only the newest N of what the filters leave", 1,      \
                 INT64_MAX),                                                                      \
    NUMBER_FIELD("min-step", "N", "/min_step", "from this step on", 0, INT64_MAX),                \
    NUMBER_FIELD("max-step", "N", "/max_step", "up to this step", 0, INT64_MAX),                  \
    { 0, "exclude-step", "N,...", "not these steps", OPTION_NUMBERS, "/exclude_steps", 0,         \
      INT64_MAX, NULL },                                                                          \
    { 'p', "param", "NAME=VALUE", "a parameter of the method (`method show`); may be JSON",             \
      OPTION_PARAM, "/params", 0, 0, NULL },                                                      \
    { 0, "baseline", "NAME,...", "compare with last, best, uniform, lawa; default: all of them "  \
      "for a method that needs the evaluator, else none",                                         \
      OPTION_TEXTS, "/baselines", 0, 0, NULL },                                                   \
    { 0, "no-baselines", NULL, "compare with nothing", OPTION_NOTHING, "/baselines", 0, 0, NULL },\
    NUMBER_FIELD("seed", "N", "/seed", "of all randomness; default 0", 0, INT64_MAX),             \
    WORD_FIELD("integers", "HOW", "/integers",                                                    \
               "integer tensors: newest, oldest, max or equal; default newest", integers),        \
    FLAG_FIELD("allow-nonfinite", "/allow_nonfinite", "average values that are not finite too"),  \
    FLAG_FIELD("force", "/force", "average checkpoints of different runs"),                       \
    FLAG_FIELD("digests", "/digests", "SHA-256 of every ingredient in the manifest"),             \
    WORD_FIELD("output-dtype", "TYPE", "/output/dtype",                                           \
               "input, F32, BF16 or F16; default input", dtypes),                                 \
    NUMBER_FIELD("max-shard-bytes", "N", "/output/max_shard_bytes",                               \
                 "of one file of the average; 0: one file; default: as the input", 0, INT64_MAX), \
    NUMBER_FIELD("workers", "N", "/workers", "how many work at it; default 1", 1, INT64_MAX),     \
    LABEL_FIELD,                                                                                  \
    { 0, "request", "FILE", "begin with the JSON object in this file; - is standard input",       \
      OPTION_TEXT, NULL, 0, 0, NULL }

static const struct option job_submit_options[] = {
    REQUEST_OPTIONS,
    NUMBER_FIELD("if-new-checkpoints", "N", "/if_new_checkpoints",
                 "only when N complete ones have come since the last success", 0, INT64_MAX),
    TEXT("idempotency-key", "KEY",
         "sent again with the same key, the request gives the same job (for 24 hours); auto: made "
         "of the request and the newest checkpoint"),
    FLAG("dry-run", "show the plan instead, as `job plan` does"),
    FLAG("wait", "wait until the job is finished, and show it"),
    NUMBER("timeout", "S", "wait so many seconds at most", 0, 1000000000),
    PROGRESS_OPTION,
    END,
};

static const struct option job_plan_options[] = { REQUEST_OPTIONS, END };

static const struct option job_list_options[] = {
    { 0, "state", "STATE", "queued, starting, running, publishing, cancelling, succeeded, failed "
      "or cancelled", OPTION_WORD, NULL, 0, 0, job_states },
    { 'r', "run", "RUN", "of this run", OPTION_TEXT, NULL, 0, 0, NULL },
    { 'l', "label", "KEY[=VALUE]", "with this label", OPTION_TEXT, NULL, 0, 0, NULL },
    TEXT("created-after", "TIME", "RFC 3339, like 2026-01-31T00:00:00Z"),
    LIST_OPTIONS,
    END,
};

static const struct option wait_options[] = {
    NUMBER("timeout", "S", "wait so many seconds at most", 0, 1000000000),
    PROGRESS_OPTION,
    END,
};

static const struct option retry_options[] = {
    KEY_OPTION,
    FLAG("wait", "wait until the job is finished, and show it"),
    NUMBER("timeout", "S", "wait so many seconds at most", 0, 1000000000),
    PROGRESS_OPTION,
    END,
};

static const struct option logs_options[] = {
    { 'O', "to", "PATH", "into this file; default: standard output, which is - too", OPTION_TEXT, NULL,
      0, 0, NULL },
    { 'f', "follow", NULL, "go on until the job is finished", OPTION_FLAG, NULL, 0, 0, NULL },
    END,
};

static const struct option pull_options[] = {
    { 'O', "to", "PATH",
      "a folder for all files of the job, or (when it is no folder and does not end in /) the file "
      "that the average becomes, or - for standard output; default: a folder named after the job",
      OPTION_TEXT, NULL, 0, 0, NULL },
    { 'o', "output", "FORMAT",
      "table or name (the paths), or json (the list of the API, unchanged)",
      OPTION_FORMAT, NULL, 0, 0, formats },
    TEXT("artifact", "NAME", "only this file"),
    PROGRESS_OPTION,
    END,
};

static const struct option version_options[] = {
    FLAG("client", "of this program alone, without asking the service"),
    END,
};

static const struct noun nouns[] = {
    { "run", "training runs" },
    { "checkpoint", "checkpoints of a run" },
    { "method", "ways to choose checkpoints" },
    { "evaluator", "programs that judge an average" },
    { "job", "selections and averages" },
    { "status", "the service" },
    { "version", "versions" },
    { NULL, NULL },
};

#define DETACH                                                                                    \
    "On a terminal a bar shows how far it is. Ctrl-C ends the waiting and not the job. Exit "     \
    "status: 7 when the job has failed, 8 when it was cancelled, 6 when the time was over."

static const struct command commands[] = {
    { "run", "list", NULL, 0, 0, "show all runs", NULL, list_options, FORMATS_ALL,
      command_run_list },
    { "run", "show", "RUN", 1, 1, "show one run", NULL, NULL, FORMATS_ALL, command_run_show },
    { "run", "create", "NAME", 1, 1, "watch a directory as a new run", NULL, run_create_options,
      FORMATS_ALL, command_run_create },
    { "run", "delete", "RUN...", 1, -1, "forget a run and its checkpoints; no file is touched",
      NULL, NULL, FORMATS_NONE, command_run_delete },

    { "checkpoint", "list", "RUN", 1, 1, "show the checkpoints of a run", NULL,
      checkpoint_list_options, FORMATS_ALL, command_checkpoint_list },
    { "checkpoint", "show", "CHECKPOINT", 1, 1, "show one checkpoint", NULL, NULL, FORMATS_ALL,
      command_checkpoint_show },
    { "checkpoint", "tensors", "CHECKPOINT", 1, 1, "show the tensors of a checkpoint", NULL,
      list_options, FORMATS_ALL, command_checkpoint_tensors },
    { "checkpoint", "pin", "CHECKPOINT...", 1, -1, "mark checkpoints as those to be kept", NULL, NULL,
      FORMATS_NONE, command_checkpoint_pin },
    { "checkpoint", "unpin", "CHECKPOINT...", 1, -1, "take the mark away", NULL, NULL, FORMATS_NONE,
      command_checkpoint_unpin },

    { "method", "list", NULL, 0, 0, "show methods", NULL, NULL, FORMATS_ALL, command_method_list },
    { "method", "show", "METHOD", 1, 1, "show one method, its parameters, their ranges and defaults",
      "A job takes them with --param NAME=VALUE. A schedule is a number, or an object:\n"
      "--param 'temperature={\"start\": 1, \"end\": 0.2, \"schedule\": \"cosine\"}'",
      NULL, FORMATS_ALL, command_method_show },

    { "evaluator", "list", NULL, 0, 0, "show the evaluators that are configured", NULL, NULL,
      FORMATS_ALL, command_evaluator_list },
    { "evaluator", "show", "NAME", 1, 1, "show one evaluator", NULL, NULL, FORMATS_ALL,
      command_evaluator_show },
    { "evaluator", "check", "NAME", 1, 1, "try an evaluator on checkpoints",
      "One evaluation with timings, and its gradient against finite differences. Exit status 1 "
      "with --wait when the gradient is wrong.",
      evaluator_check_options, FORMATS_ALL, command_evaluator_check },

    { "job", "submit", NULL, 0, 0, "choose checkpoints and average them",
      "Prints the id of the job; with --wait, the finished job. Made for cron too: "
      "--if-new-checkpoints N does nothing, and exits with 0, until there is something to do.\n\n"
      "sewactl job submit --run digits --select 10 --evaluator digits --wait\n\n" DETACH,
      job_submit_options, FORMATS_ALL, command_job_submit },
    { "job", "plan", NULL, 0, 0, "show what submitting a job would do", NULL, job_plan_options,
      FORMATS_ALL & ~(1u << FORMAT_NAME), command_job_plan },
    { "job", "list", NULL, 0, 0, "show jobs, newest first", NULL, job_list_options, FORMATS_ALL,
      command_job_list },
    { "job", "show", "JOB", 1, 1, "show one job with its result", NULL, NULL, FORMATS_ALL,
      command_job_show },
    { "job", "wait", "JOB...", 1, -1, "wait until jobs are finished", DETACH, wait_options,
      FORMATS_ALL, command_job_wait },
    { "job", "watch", "JOB", 1, 1, "follow one job, and show it when it is finished", DETACH,
      wait_options, FORMATS_ALL, command_job_watch },
    { "job", "logs", "JOB", 1, 1, "show what the evaluator has printed", NULL, logs_options,
      FORMATS_NONE, command_job_logs },
    { "job", "cancel", "JOB...", 1, -1, "end jobs", NULL, NULL, FORMATS_NONE, command_job_cancel },
    { "job", "retry", "JOB", 1, 1, "submit the request of a finished job again", NULL,
      retry_options, FORMATS_ALL, command_job_retry },
    { "job", "pull", "JOB", 1, 1, "fetch the average",
      "Every file is checked against its SHA-256 before it gets its name; one that is there already "
      "is replaced then, and not before. What was broken off is taken up again by the same command. "
      "What goes to standard output goes before it is checked: the exit status tells.\n\n"
      "sewactl job pull JOB -O averaged/\n"
      "sewactl job pull JOB -O model.safetensors\n"
      "sewactl job pull JOB --artifact manifest.json -O - | jq .ingredients",
      pull_options, FORMATS_ALL & ~(1u << FORMAT_JSONL), command_job_pull },
    { "job", "delete", "JOB...", 1, -1, "remove finished jobs and what they have made", NULL, NULL,
      FORMATS_NONE, command_job_delete },

    { "status", NULL, NULL, 0, 0, "show how the service is and what it does",
      "Exit status 6 when the service is not ready.", NULL,
      FORMATS_ALL & ~(1u << FORMAT_NAME), command_status },
    { "version", NULL, NULL, 0, 0, "show the versions of this program and of the service", NULL,
      version_options, FORMATS_ALL & ~(1u << FORMAT_NAME), command_version },
};
/* clang-format on */

static const char details[] =
    "Where the service is and who asks is looked for in this order: the options; SEWA_URL, "
    "SEWA_TOKEN and SEWA_TOKEN_FILE in the environment; $XDG_CONFIG_HOME/sewa/config (or "
    "~/.config/sewa/config); " SETTINGS_SYSTEM_FILE ". The files hold lines like \"url = "
    "http://head:8787\" with the keys url, socket, token, token_file, request_timeout and "
    "color.\n\n"
    "stdout is data and stderr is talk. Exit status: 0 fine, 1 an error, 2 the command line is "
    "wrong, 3 not found, 4 a conflict, 5 not allowed, 6 out of reach or too late, 7 the job has "
    "failed, 8 it was cancelled, 130 interrupted.";

const struct cli sewactl = {
    .program = "sewactl",
    .summary = "Ask sewad which checkpoints of a training run to average, and fetch the average.",
    .details = details,
    .globals = globals,
    .nouns = nouns,
    .commands = commands,
    .command_count = COUNT_OF(commands),
};
