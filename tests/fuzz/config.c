/* A config.json: what is accepted passes its own check, can be counted, and comes back from what is written. */
#include "fuzz.h"

#include "gptpipe/config.h"
#include "model/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_config c, again;
    fuzz_begin();
    if (gp_config_from_json(&c, (const char *)data, size, "config.json")) {
        fuzz_refused();
        return 0;
    }
    BUG_ON(gp_config_check(&c, "what was accepted"));
    BUG_ON(gp_config_context(&c) < 1 || gp_config_parameters(&c) < 1);
    BUG_ON(!(gp_config_flops(&c, 1) > 0));
    char *json = gp_config_to_json(&c);
    if (gp_config_from_json(&again, json, strlen(json), "what was written")) {
        fprintf(stderr, "%s\n%s\n", json, gp_error());
        abort();
    }
    BUG_ON(gp_config_parameters(&again) != gp_config_parameters(&c));
    free(json);
    return 0;
}
