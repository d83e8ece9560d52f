# tally.awk - what one run of ctest amounts to: entries, cases inside them, and what was left out.
#
#   awk -f tests/tally.awk CTEST-OUTPUT LastTest.log
#
# Prints "skipped: ENTRY: REASON" for everything that was left out, a whole entry or a case inside of
# one, then "tally: ENTRIES FAILED WHOLLY-SKIPPED SKIPPED CASES" (SKIPPED counts both kinds). An entry
# that is left out without a reason counts as failed: nobody could tell why it did not run.
# A case says it with a line "skipped: REASON" (C, shell) or as Python's unittest does ("... skipped 'REASON'").

FNR == NR {
    if (match($0, /\*\*\*Skipped/)) {
        name = $0
        sub(/^.*Test +#[0-9]+: */, "", name)
        sub(/ *\.+.*$/, "", name)
        whole[name] = 1
    } else if (match($0, /[0-9]+ tests? failed out of [0-9]+/)) {
        split(substr($0, RSTART, RLENGTH), words, " ")
        failed = words[1]
        entries = words[6]
        seen = 1
    }
    next
}

/^[0-9]+\/[0-9]+ Testing: / {
    entry = $0
    sub(/^[^:]*: /, "", entry)
    next
}
# newer versions of cmocka name the group first
/^\[==========\] ([^ ]+: )?[0-9]+ test\(s\) run\./ { cases += $(NF - 2); next }
/^Ran [0-9]+ tests? in / { cases += $2; next }

function left_out(reason) {
    print "skipped: " entry ": " reason
    said[entry]++
    skipped++
}
/^skipped: / { left_out(substr($0, 10)); next }
/^test_[A-Za-z0-9_]+ \(/ { test = $1 }
/ \.\.\. skipped '.*'$/ { # in the same line, or behind the first line of the test's description
    reason = $0
    sub(/^.* \.\.\. skipped '/, "", reason)
    left_out(test ": " substr(reason, 1, length(reason) - 1))
}

END {
    if (!seen)
        exit 1
    for (name in whole) {
        wholly++
        if (!(name in said)) {
            print "FAILED: " name ": left out without a reason"
            wholly--
            failed++
        }
    }
    print "tally:", entries, failed + 0, wholly + 0, skipped + 0, cases + 0
}
