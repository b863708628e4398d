/* generate.c: continues a prompt with a trained model, from checkpoint to text in one page.
 *
 *     make -C examples
 *     examples/generate work/stories-run 'Once'
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gptpipe/checkpoint.h>
#include <gptpipe/sampler.h>

/* Bytes arrive as they become whole characters. */
static int print(void *self, int64_t sample, const char *bytes, size_t n, bool done)
{
    (void)self, (void)sample, (void)done;
    fwrite(bytes, 1, n, stdout);
    return fflush(stdout);
}

/* The likeliest 100 tokens behind the prompt. 0 or -1. */
static int continue_prompt(gp_model *m, const gp_tokenizer *t, const char *prompt)
{
    int32_t *ids;
    int64_t count;
    gp_generation how = {.sampling = {.temperature = 0, .top_p = 1}, .samples = 1, .max_tokens = 100};
    if (gp_tokenizer_encode(t, prompt, strlen(prompt), false, &ids, &count))
        return -1;
    fputs(prompt, stdout);
    int rc = gp_generate(m, t, ids, count, &how, print, NULL, NULL);
    putchar('\n');
    free(ids);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: generate CHECKPOINT PROMPT\n");
        return 2;
    }
    int rc = -1;
    gp_backend *be = gp_backend_open("auto", "auto", 0);
    gp_checkpoint *checkpoint = be ? gp_checkpoint_open(argv[1]) : NULL;
    gp_model *m = checkpoint ? gp_checkpoint_model(checkpoint, be, false) : NULL;
    gp_tokenizer *t = NULL;
    if (m && !gp_checkpoint_open_tokenizer(checkpoint, &t))
        rc = t ? continue_prompt(m, t, argv[2]) : gp_fail("%s: has no tokenizer", argv[1]);
    if (rc)
        fprintf(stderr, "generate: %s\n", gp_error());
    gp_tokenizer_close(t);
    gp_model_free(m);
    gp_checkpoint_close(checkpoint);
    gp_backend_close(be);
    return rc ? 1 : 0;
}
