"""outcomes - what a job has learned and made, without what differs from run to run by its nature."""

# times, and bytes that a worker reads again after a restart
PASSING = ("seconds", "evaluator_seconds", "bytes_read")


def outcome_of(sewad, done):
    """All that must not differ between two runs of a job: result, trace, bytes of the artifact."""
    result = done["result"]
    for name in PASSING:
        del result["cost"][name]
    for selected in result["selected"]:
        del selected["checkpoint"]
    trace = sewad.trace(done["id"])
    digests = {a["name"]: a["sha256"] for a in done["artifacts"]}
    return {"result": result, "trace": trace["items"],
            "steps": [c["step"] for c in trace["candidates"]],
            "artifact": digests["model.safetensors"],
            "bytes": sewad.artifact(done["id"])}


def assert_same(test, ours, theirs, what):
    """The trace first: where it parts says more than that the end differs."""
    for i, (a, b) in enumerate(zip(ours["trace"], theirs["trace"])):
        test.assertEqual(a, b, "%s: iteration %d of the trace" % (what, i))
    test.assertEqual(ours, theirs, what)
