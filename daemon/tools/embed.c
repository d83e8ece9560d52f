/*
 * embed - build-time tool: files into C tables.
 *
 *     embed queries-h FILE...        enum sql_id on stdout
 *     embed queries-c FILE...        sql_texts[]: the text of every "-- name: x" block
 *     embed migrations FILE...       sql_migrations[]: number, name and text of
 * schema/NNNN_name.sql embed blob SYMBOL FILE         const unsigned char SYMBOL[] and SYMBOL_size
 *
 * Fails with a message on anything odd (a name twice, text before the first name, a migration out
 * of order): a build that stops is cheaper than a statement that is not there.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 512, NAME_SIZE = 64, LINE_SIZE = 4096, PARTS_MAX = 16, PART_SIZE = 2048 };

static char names[NAMES_MAX][NAME_SIZE];
static int name_count;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    fputs("embed: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static FILE *open_or_die(const char *path)
{
    FILE *f = fopen(path, "r");

    if (!f)
        die("cannot open '%s': %s", path, strerror(errno));
    return f;
}

static void put_line(const char *s)
{
    fputs("        \"", stdout);
    for (; *s && *s != '\n'; s++) {
        if (*s == '"' || *s == '\\')
            putchar('\\');
        putchar(*s);
    }
    fputs("\\n\"\n", stdout);
}

static void add_name(const char *path, const char *name)
{
    for (int i = 0; i < name_count; i++)
        if (strcmp(names[i], name) == 0)
            die("'%s': statement '%s' is defined twice", path, name);
    if (name_count == NAMES_MAX)
        die("more than %d statements", NAMES_MAX);
    snprintf(names[name_count++], NAME_SIZE, "%s", name);
}

static void put_upper(const char *name)
{
    for (; *name; name++)
        putchar(toupper((unsigned char)*name));
}

/* ---- fragments: "-- part: x" is text that later statements of the file name as {x} ---- */

static struct part {
    char name[NAME_SIZE];
    char text[PART_SIZE];
} parts[PARTS_MAX];
static int part_count;

static struct part *add_part(const char *path, const char *name)
{
    if (part_count == PARTS_MAX)
        die("'%s': more than %d parts", path, PARTS_MAX);
    struct part *p = &parts[part_count++];
    snprintf(p->name, sizeof p->name, "%s", name);
    p->text[0] = '\0';
    return p;
}

static void grow_part(struct part *p, const char *line)
{
    size_t used = strlen(p->text);

    if (used + strlen(line) >= sizeof p->text)
        die("part '%s' is longer than %d bytes", p->name, PART_SIZE);
    strncat(p->text, line, sizeof p->text - used - 1);
}

static const char *part_text(const char *path, const char *name)
{
    for (int i = 0; i < part_count; i++)
        if (strcmp(parts[i].name, name) == 0)
            return parts[i].text;
    die("'%s': there is no part '%s'", path, name);
}

/* One line of a statement, parts put in. */
static void put_expanded(const char *path, const char *line)
{
    char name[NAME_SIZE], out[LINE_SIZE + PART_SIZE];
    size_t n = 0;

    for (const char *s = line; *s; s++) {
        if (sscanf(s, "{%63[a-z0-9_]}", name) == 1) {
            const char *text = part_text(path, name);
            n += (size_t)snprintf(out + n, sizeof out - n, "%s", text);
            if (n > 0 && n < sizeof out && out[n - 1] == '\n')
                n--; /* the line goes on behind the part */
            s = strchr(s, '}');
        } else {
            out[n++] = *s;
        }
        if (n >= sizeof out - 1)
            die("'%s': a line is too long", path);
    }
    out[n] = '\0';
    for (char *save = out; *save;) {
        char *end = strchr(save, '\n');
        put_line(save);
        save = end ? end + 1 : save + strlen(save);
    }
}

static void queries_of(const char *path, int with_text)
{
    FILE *f = open_or_die(path);
    char line[LINE_SIZE], name[NAME_SIZE];
    struct part *part = NULL;
    int open = 0;

    part_count = 0;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "-- part: %63[a-z0-9_]", name) == 1) {
            part = add_part(path, name);
            continue;
        }
        if (sscanf(line, "-- name: %63[a-z0-9_]", name) == 1) {
            part = NULL;
            add_name(path, name);
            if (open && with_text)
                puts("    },");
            open = 1;
            if (with_text) {
                fputs("    [SQL_", stdout);
                put_upper(name);
                printf("] = { \"%s\",\n", name);
            }
            continue;
        }
        if (strncmp(line, "--", 2) == 0 || line[strspn(line, " \n")] == '\0')
            continue;
        if (part) {
            grow_part(part, line);
            continue;
        }
        if (!open)
            die("'%s': text before the first name: %s", path, line);
        if (with_text)
            put_expanded(path, line);
    }
    if (open && with_text)
        puts("    },");
    fclose(f);
}

static void queries_h(int n, char **paths)
{
    for (int i = 0; i < n; i++)
        queries_of(paths[i], 0);
    puts("/* made by daemon/tools/embed.c from sql/ */\n#pragma once\nenum sql_id {");
    for (int i = 0; i < name_count; i++) {
        fputs("    SQL_", stdout);
        put_upper(names[i]);
        puts(",");
    }
    puts("    SQL_COUNT\n};\n"
         "struct sql_text {\n    const char *name, *text;\n};\n"
         "struct sql_migration {\n    int number;\n    const char *name, *text;\n};\n"
         "extern const struct sql_text sql_texts[SQL_COUNT];\n"
         "extern const struct sql_migration sql_migrations[]; /* ends with number 0 */");
}

static void queries_c(int n, char **paths)
{
    puts("/* made by daemon/tools/embed.c from sql/queries */\n#include \"sql_gen.h\"\n"
         "const struct sql_text sql_texts[SQL_COUNT] = {");
    for (int i = 0; i < n; i++)
        queries_of(paths[i], 1);
    puts("};");
}

static void migrations(int n, char **paths)
{
    char line[LINE_SIZE];

    puts("/* made by daemon/tools/embed.c from sql/schema */\n#include <stddef.h>\n\n#include "
         "\"sql_gen.h\"\nconst struct sql_migration sql_migrations[] = {");
    for (int i = 0; i < n; i++) {
        const char *base = strrchr(paths[i], '/');
        base = base ? base + 1 : paths[i];
        if (atoi(base) != i + 1)
            die("'%s': expected number %04d", paths[i], i + 1);
        printf("    { %d, \"%s\",\n", i + 1, base);
        FILE *f = open_or_die(paths[i]);
        while (fgets(line, sizeof line, f))
            if (strncmp(line, "--", 2) != 0)
                put_line(line);
        fclose(f);
        puts("    },");
    }
    puts("    { 0, NULL, NULL },\n};");
}

static void blob(const char *symbol, const char *path)
{
    FILE *f = open_or_die(path);
    size_t n = 0;

    printf("/* made by daemon/tools/embed.c */\n#include <stddef.h>\n"
           "extern const unsigned char %s[];\nextern const size_t %s_size;\n"
           "const unsigned char %s[] = {",
           symbol, symbol, symbol);
    for (int c; (c = fgetc(f)) != EOF; n++)
        printf("%s%d,", n % 20 == 0 ? "\n" : "", c);
    printf("\n0 };\nconst size_t %s_size = %zu;\n", symbol, n);
    fclose(f);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "queries-h") == 0)
        queries_h(argc - 2, argv + 2);
    else if (argc >= 3 && strcmp(argv[1], "queries-c") == 0)
        queries_c(argc - 2, argv + 2);
    else if (argc >= 3 && strcmp(argv[1], "migrations") == 0)
        migrations(argc - 2, argv + 2);
    else if (argc == 4 && strcmp(argv[1], "blob") == 0)
        blob(argv[2], argv[3]);
    else
        die("usage: embed queries-h|queries-c|migrations FILE... | blob SYMBOL FILE");
    if (fflush(stdout) != 0)
        die("cannot write: %s", strerror(errno));
    return 0;
}
