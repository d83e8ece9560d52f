# layers.awk - no file includes a room or a library that daemon/LAYERS does not grant to its own room.
#
#   awk -f tests/lint/layers.awk daemon/LAYERS FILE...
#
# The room of a file is its folder; files directly in daemon/ are the room app, those of the built-in
# evaluator mlp. Fails when LAYERS names no row for a room.
FILENAME == ARGV[1] {
    if ($0 ~ /^[a-z]+:/) {
        room = $0; sub(/:.*/, "", room)
        grants = $0; sub(/^[^:]*:/, "", grants)
        may[room] = " " room " sewa " grants " "
    } else if ($0 ~ /^</) {
        header = $0; sub(/^</, "", header); sub(/>.*/, "", header)
        grants = $0; sub(/^[^:]*:/, "", grants)
        only[header] = " " grants " "
    }
    next
}
FNR == 1 {
    n = split(FILENAME, part, "/")
    room = part[n - 1]
    if (room == "daemon") room = "app"
    if (!(room in may)) { printf "%s: daemon/LAYERS has no row for room '%s'\n", FILENAME, room; bad = 1 }
}
/^[ \t]*#[ \t]*include/ {
    header = $0
    gsub(/^[^<"]*[<"]|[>"].*$/, "", header)
    if (header in only && index(only[header], " " room " ") == 0) {
        printf "%s:%d: room '%s' may not include %s\n", FILENAME, FNR, room, header; bad = 1
    }
    if ($0 ~ /"/ && header ~ /\//) {
        wanted = header; sub(/\/.*/, "", wanted)
        if (index(may[room], " * ") == 0 && index(may[room], " " wanted " ") == 0) {
            printf "%s:%d: room '%s' may not include room '%s'\n", FILENAME, FNR, room, wanted; bad = 1
        }
    }
}
END { exit bad }
