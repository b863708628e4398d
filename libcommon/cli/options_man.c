/* options_man.c: the manual page, in the format of man(7). */
#include "cli/options.h"

#include <ctype.h>
#include <string.h>

/* Escapes text for roff: backslashes, minus signs, and periods and quotes at the start of a line. */
static void put_roff(gp_buf *b, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool line_start = b->len == 0 || b->data[b->len - 1] == '\n';
        if (line_start && (text[i] == '.' || text[i] == '\''))
            gp_buf_puts(b, "\\&");
        if (text[i] == '\\')
            gp_buf_puts(b, "\\e");
        else if (text[i] == '-')
            gp_buf_puts(b, "\\-");
        else
            gp_buf_add(b, text + i, 1);
    }
}

static void put_text(gp_buf *b, const char *text)
{
    put_roff(b, text, strlen(text));
}

static void put_option(gp_buf *b, const gp_tool *tool, const gp_option *o, const void *args)
{
    gp_buf text = {0};
    gp_buf_puts(b, ".TP\n");
    if (o->letter)
        gp_buf_printf(b, "\\fB\\-%c\\fR, ", o->letter);
    gp_buf_puts(b, gp_option_is_on(o, args) ? "\\fB\\-\\-\\fR[\\fBno\\-\\fR]\\fB" : "\\fB\\-\\-");
    put_text(b, o->name);
    gp_buf_puts(b, "\\fR");
    if (o->type != GP_OPT_FLAG)
        gp_buf_printf(b, " \\fI%s\\fR", o->arg ? o->arg : "VALUE");
    gp_buf_puts(b, "\n");
    gp_option_describe(&text, tool, o, args);
    put_roff(b, text.data, text.len);
    gp_buf_puts(b, "\n");
    gp_buf_release(&text);
}

static void put_options(gp_buf *b, const gp_tool *tool, const gp_option *table, const void *args)
{
    for (const gp_option *o = table; !gp_option_ends(o); o++) {
        if (o->type == GP_OPT_GROUP) {
            gp_buf_puts(b, ".SS \"");
            put_text(b, o->name);
            gp_buf_puts(b, "\"\n");
        } else {
            put_option(b, tool, o, args);
        }
    }
}

/* Paragraphs; lines that begin with a space are verbatim. */
static void put_description(gp_buf *b, const char *text)
{
    for (bool literal = false, new_paragraph = false; *text || literal;) {
        size_t n = strcspn(text, "\n");
        bool blank = !n, indented = n && text[0] == ' ';
        if (literal && !indented) {
            gp_buf_puts(b, ".EE\n");
            literal = false;
            new_paragraph = true;
            continue;
        }
        if (indented && !literal) {
            gp_buf_puts(b, ".PP\n.EX\n");
            literal = true;
        }
        if (!blank && new_paragraph && !literal)
            gp_buf_puts(b, ".PP\n");
        new_paragraph = blank;
        put_roff(b, text, n);
        if (!blank)
            gp_buf_puts(b, "\n");
        text += n + (text[n] == '\n');
    }
}

/* "# comment" introduces the commands below it. */
static void put_examples(gp_buf *b, const char *text)
{
    gp_buf_puts(b, ".SH EXAMPLES\n");
    bool literal = false;
    for (size_t n; *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        bool comment = text[0] == '#';
        if (literal && (comment || !n))
            gp_buf_puts(b, ".EE\n");
        literal &= !comment && n;
        if (comment) {
            size_t skip = 1 + strspn(text + 1, " ");
            gp_buf_puts(b, ".PP\n");
            put_roff(b, text + skip, n - skip);
            gp_buf_puts(b, ":\n");
        } else if (n) {
            gp_buf_puts(b, literal ? "" : ".PP\n.EX\n");
            literal = true;
            gp_buf_puts(b, "    ");
            put_roff(b, text, n);
            gp_buf_puts(b, "\n");
        }
    }
    if (literal)
        gp_buf_puts(b, ".EE\n");
}

static void put_title(gp_buf *b, const gp_tool *tool)
{
    gp_buf_puts(b, ".TH \"");
    for (const char *c = tool->name; *c; c++)
        put_roff(b, &(char){(char)toupper((unsigned char)*c)}, 1);
    /* no date: two builds of one version give the same bytes */
    gp_buf_printf(b, "\" 1 \"\" \"gptpipe %s\" \"gptpipe\"\n.SH NAME\n", gp_version());
    put_text(b, tool->name);
    gp_buf_puts(b, " \\- ");
    put_text(b, tool->summary ? tool->summary : "");
    gp_buf_puts(b, "\n.SH SYNOPSIS\n\\fB");
    put_text(b, tool->name);
    gp_buf_puts(b, "\\fR ");
    put_text(b, tool->usage ? tool->usage : "[OPTION]...");
    gp_buf_puts(b, "\n");
}

void gp_options_man(gp_buf *b, const gp_tool *tool, const void *args)
{
    const gp_common_args common = {0};
    put_title(b, tool);
    if (tool->description) {
        gp_buf_puts(b, ".SH DESCRIPTION\n");
        put_description(b, tool->description);
    }
    gp_buf_puts(b, ".SH OPTIONS\n");
    put_options(b, tool, tool->options, args);
    gp_buf_puts(b, ".SS \"Common options\"\n");
    put_options(b, tool, gp_common_options, &common);
    gp_buf_puts(b, ".PP\n\\fB\\-\\-no\\-\\fINAME\\fR turns a flag off. Whole numbers may be written as 1e6, 64k, 2M or "
                   "3G (k is 1000).\n"
                   ".SH CONFIGURATION\nA file for \\fB\\-\\-config\\fR is YAML, with one \\fIoption: value\\fR per "
                   "line and lists as sequences. Files override defaults, later files override earlier ones, and the "
                   "command line overrides files. Keys below \\fBrecorded:\\fR are ignored.\n"
                   ".SH \"EXIT STATUS\"\n0: success. 1: failure; the reason is on standard error. "
                   "2: the command line or a configuration file is wrong.\n");
    if (tool->examples)
        put_examples(b, tool->examples);
}
