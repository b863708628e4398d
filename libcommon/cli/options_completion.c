/* options_completion.c: completion scripts for bash, zsh and fish. */
#include "cli/options.h"

#include <ctype.h>
#include <string.h>

/* A script being written. */
typedef struct script {
    gp_buf *b;
    const gp_tool *tool;
    const void *args;
    const char *no; /* "no-" if the current option is a flag that is on by default, else "" */
} script;

/* Calls put for each option of the tool, then for each common option. */
static void each_option(script *s, void (*put)(script *, const gp_option *))
{
    static const gp_common_args off;
    const gp_option *tables[] = {s->tool->options, gp_common_options};
    const void *args[] = {s->args, &off};
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (const gp_option *o = tables[t]; !gp_option_ends(o); o++) {
            if (o->type == GP_OPT_GROUP)
                continue;
            s->no = gp_option_is_on(o, args[t]) ? "no-" : "";
            put(s, o);
        }
    }
}

static bool takes_file(const gp_option *o)
{
    static const char *const words[] = {"FILE", "DIR", "PATH", "RUN"};
    for (size_t i = 0; o->arg && i < ARRAY_LEN(words); i++)
        if (strstr(o->arg, words[i]))
            return true;
    return false;
}

static void put_name(script *s, const gp_option *o)
{
    gp_buf_printf(s->b, " --%s%s", s->no, o->name);
}

static void put_bash_case(script *s, const gp_option *o)
{
    gp_buf *b = s->b;
    if (o->type == GP_OPT_FLAG)
        return;
    gp_buf_printf(b, "    --%s", o->name);
    if (o->letter)
        gp_buf_printf(b, "|-%c", o->letter);
    gp_buf_puts(b, ") ");
    if (o->choices) {
        gp_buf_puts(b, "mapfile -t COMPREPLY < <(compgen -W '");
        gp_option_put_choices(b, o, " ");
        gp_buf_puts(b, "' -- \"$cur\"); ");
    } else if (takes_file(o)) {
        gp_buf_puts(b, "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); ");
    }
    gp_buf_puts(b, "return ;;\n");
}

static void put_bash(script *s)
{
    gp_buf *b = s->b;
    const gp_tool *tool = s->tool;
    gp_buf function = {0};
    for (const char *c = tool->name; *c; c++)
        gp_buf_printf(&function, "%c", isalnum((unsigned char)*c) ? *c : '_');
    gp_buf_printf(b,
                  "# bash completion for %s (gptpipe)\n"
                  "_gptpipe_%s()\n{\n"
                  "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                  "    # --name=value arrives as three words\n"
                  "    if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then "
                  "prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
                  "    COMPREPLY=()\n    case $prev in\n",
                  tool->name, function.data);
    each_option(s, put_bash_case);
    gp_buf_puts(b, "    esac\n    if [[ $cur == -* ]]; then\n        mapfile -t COMPREPLY < <(compgen -W '");
    each_option(s, put_name);
    gp_buf_printf(b,
                  " ' -- \"$cur\")\n    else\n        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n    fi\n}\n"
                  "complete -o filenames -F _gptpipe_%s %s\n",
                  function.data, tool->name);
    gp_buf_release(&function);
}

/* For use in single quotes; characters that zsh's _arguments reserves are escaped. */
static void put_zsh_quoted(gp_buf *b, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            gp_buf_puts(b, "'\\''");
        else if (strchr("[]\\:", *c))
            gp_buf_printf(b, "\\%c", *c);
        else
            gp_buf_add(b, c, 1);
    }
}

static void put_zsh_option(script *s, const gp_option *o)
{
    gp_buf *b = s->b;
    gp_buf value = {0}, help = {0};
    gp_option_put_help(&help, s->tool, o);
    if (o->type != GP_OPT_FLAG) {
        gp_buf_printf(&value, ":%s:", o->arg ? o->arg : "VALUE");
        if (o->choices) {
            gp_buf_puts(&value, "(");
            gp_option_put_choices(&value, o, " ");
            gp_buf_puts(&value, ")");
        } else if (takes_file(o)) {
            gp_buf_puts(&value, "_files");
        } else {
            gp_buf_puts(&value, " ");
        }
    }
    const char *repeatable = o->type == GP_OPT_LIST ? "*" : "";
    const char *equals = o->type == GP_OPT_FLAG ? "" : "=";
    for (int letter = 0; letter <= (o->letter && !*s->no); letter++) {
        gp_buf_printf(b, " \\\n    '%s", repeatable);
        if (letter)
            gp_buf_printf(b, "-%c%s[", o->letter, *equals ? "+" : "");
        else
            gp_buf_printf(b, "--%s%s%s[", s->no, o->name, equals);
        put_zsh_quoted(b, help.data);
        gp_buf_printf(b, "]%s'", value.len ? value.data : "");
    }
    gp_buf_release(&value);
    gp_buf_release(&help);
}

static void put_fish_option(script *s, const gp_option *o)
{
    gp_buf *b = s->b;
    gp_buf_printf(b, "complete -c %s -l %s%s", s->tool->name, s->no, o->name);
    if (o->letter && !*s->no) /* the letter turns the flag on, not off */
        gp_buf_printf(b, " -s %c", o->letter);
    if (o->choices) {
        gp_buf_puts(b, " -x -a '");
        gp_option_put_choices(b, o, " ");
        gp_buf_puts(b, "'");
    } else if (o->type != GP_OPT_FLAG) {
        gp_buf_puts(b, takes_file(o) ? " -r -F" : " -x");
    }
    gp_buf_puts(b, " -d '");
    gp_buf help = {0};
    gp_option_put_help(&help, s->tool, o);
    for (const char *c = help.data; *c; c++)
        gp_buf_printf(b, *c == '\'' || *c == '\\' ? "\\%c" : "%c", *c);
    gp_buf_puts(b, "'\n");
    gp_buf_release(&help);
}

void gp_options_completion(gp_buf *b, const gp_tool *tool, const void *args, gp_shell shell)
{
    script s = {.b = b, .tool = tool, .args = args};
    if (shell == BASH) {
        put_bash(&s);
    } else if (shell == ZSH) {
        gp_buf_printf(b, "#compdef %s\n_arguments -s -S", tool->name);
        each_option(&s, put_zsh_option);
        gp_buf_puts(b, tool->positionals ? " \\\n    '*:file:_files'\n" : "\n");
    } else {
        gp_buf_printf(b, "# fish completion for %s (gptpipe)\n", tool->name);
        each_option(&s, put_fish_option);
    }
}
