/* Lines of JSON as questions of each kind of task. */
#include "fuzz.h"

#include "data/jsonl.h"
#include "infer/cloze.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t number = 0;
    for (size_t at = 0; at < size; number++) {
        const char *line = (const char *)data + at, *end = memchr(line, '\n', size - at);
        size_t n = end ? (size_t)(end - line) : size - at;
        at += n + 1;
        if (gp_jsonl_is_blank(line, n))
            continue;
        fuzz_begin();
        json_t *o = gp_jsonl_line(line, n, "questions.jsonl", number + 1);
        if (!o)
            fuzz_refused();
        for (int task = GP_TASK_TEXT + 1; o && task <= GP_TASK_CHOICES; task++) {
            gp_question q = {0};
            fuzz_begin();
            if (gp_cloze_tasks[task].read(&q, o, "questions.jsonl", number + 1)) {
                fuzz_refused();
                continue;
            }
            BUG_ON(!q.context.data || q.endings < 1 || q.endings > GP_MAX_ENDINGS);
            BUG_ON(q.label < 0 || q.label >= q.endings);
            gp_question_release(&q);
        }
        json_decref(o);
    }
    return 0;
}
