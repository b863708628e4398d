/* matmul_choice.cu: selects the way and algorithm of each product, where they are not the heuristic's first: measured
 * here; or recorded with the run and reused; or the fallback after the library refused another. */
#include "backend/cuda/product.cuh"

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

/* Candidates: ALGORITHMS of the heuristic's algorithms for each way, of max WAYS ways. */
constexpr int ALGORITHMS = 8, WAYS = 2, CANDIDATES = ALGORITHMS * WAYS;

/* A smaller gain over the default is noise. */
constexpr double GAIN = 0.99;

/* m->choices[i] in binary form; be->choices[i] is the same as text. */
struct AlgorithmChoice {
    Problem problem;
    bool met; /* the product has occurred, and `problem` is set */
    bool usable, has_algorithm;
    unsigned parts;
    cublasLtMatmulAlgo_t algorithm;
};

/* ---- text form ------------------------------------------------------------------------------------------- */

static const struct {
    unsigned parts;
    const char *name;
} way_names[] = {
    {GP_CUDA_LT | GP_CUDA_FUSE_SUMS, "sums"},
    {GP_CUDA_LT | GP_CUDA_FUSE_GELU, "gelu"},
    {GP_CUDA_LT | GP_CUDA_FUSE_BIAS, "bias"},
    {GP_CUDA_LT, "alone"},
    {0, "plain"},
};

static const char *name_of(unsigned parts)
{
    for (const auto &way : way_names)
        if (way.parts == parts)
            return way.name;
    return "plain";
}

static bool parse_way(const char *name, unsigned *parts)
{
    for (const auto &way : way_names)
        if (!strcmp(way.name, name)) {
            *parts = way.parts;
            return true;
        }
    return false;
}

/* The text form of its Problem. */
static void name_product(const gp_backend *be, const Product *p, char *text, size_t size)
{
    Product dense = *p;
    dense.lda = dense.ldd = 0;
    char pitch[48] = "", aligned[8] = "";
    if (product_lda(p) != product_lda(&dense) || product_ldd(p) != product_ldd(&dense))
        snprintf(pitch, sizeof pitch, ", rows of %" PRId64 " and %" PRId64, product_lda(p), product_ldd(p));
    uint64_t bits = matmul_problem(p).bits;
    for (int i = 0; i < 3; i++)
        if (!(bits >> 32 >> (2 - i) & 1)) /* not aligned to 16 bytes */
            snprintf(aligned + strlen(aligned), sizeof aligned - strlen(aligned), "%c", "abd"[i]);
    snprintf(text, size, "%" PRId64 "x%" PRId64 "x%" PRId64 " %c%c %s %s%s%s%s%s%s%s%s%s", p->M, p->N, p->K,
             p->a_transposed ? 'T' : 'N', p->b_transposed ? 'T' : 'N',
             p->in == GP_BF16 ? "bf16"
             : be->tf32       ? "tf32"
                              : "fp32",
             p->out == GP_BF16 ? "bf16" : "fp32", p->add ? " added" : "", p->bias ? " bias" : "",
             p->epilogue == Epilogue::gelu         ? " gelu"
             : p->epilogue == Epilogue::gelu_slope ? " gelu'"
                                                   : "",
             p->pre ? " pre" : "",
             p->a_sums   ? " a-sums"
             : p->b_sums ? " b-sums"
                         : "",
             pitch, *aligned ? ", odd " : "", aligned);
}

/* Eight 64-bit words as 128 hexadecimal digits. cuBLASLt documents that an algorithm may be stored and reused with the
 * same version. */
static void print_algorithm(const cublasLtMatmulAlgo_t *algorithm, char *text, size_t size)
{
    int n = 0;
    for (uint64_t word : algorithm->data)
        n += snprintf(text + n, size - static_cast<size_t>(n), "%016" PRIx64, word);
}

static bool parse_algorithm(const char *text, cublasLtMatmulAlgo_t *algorithm)
{
    constexpr size_t digits = 2 * sizeof algorithm->data;
    if (strlen(text) != digits || strspn(text, "0123456789abcdef") != digits)
        return false;
    for (uint64_t &word : algorithm->data) {
        char one[17];
        snprintf(one, sizeof one, "%.16s", text);
        word = strtoull(one, nullptr, 16);
        text += 16;
    }
    return true;
}

template <class T>
static T attribute_of(const Matmuls *m, const cublasLtMatmulAlgo_t *algorithm,
                      cublasLtMatmulAlgoConfigAttributes_t attribute)
{
    T value = 0;
    size_t written;
    (void)m->lt.MatmulAlgoConfigGetAttribute(algorithm, attribute, &value, sizeof value, &written);
    return value;
}

static void describe_algorithm(const Matmuls *m, const cublasLtMatmulAlgo_t *algorithm, char *text, size_t size)
{
    snprintf(text, size, "algorithm %d, tile %u, stages %u, cluster %u, k in %d, swizzle %u, option %u",
             attribute_of<int32_t>(m, algorithm, CUBLASLT_ALGO_CONFIG_ID),
             attribute_of<uint32_t>(m, algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID),
             attribute_of<uint32_t>(m, algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID),
             static_cast<unsigned>(attribute_of<uint16_t>(m, algorithm, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID)),
             attribute_of<int32_t>(m, algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM),
             attribute_of<uint32_t>(m, algorithm, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING),
             attribute_of<uint32_t>(m, algorithm, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION));
}

/* ---- the list -------------------------------------------------------------------------------------------- */

static AlgorithmChoice *add_choice(gp_backend *be)
{
    Matmuls *m = matmuls_of(be);
    m->choices = static_cast<AlgorithmChoice *>(
        gp_realloc(m->choices, static_cast<size_t>(m->choice_count) + 1, sizeof *m->choices));
    AlgorithmChoice *c = &m->choices[m->choice_count++];
    memset(c, 0, sizeof *c);
    (void)gp_backend_add_choice(be);
    return c;
}

static gp_product_choice *words_of(const gp_backend *be, const AlgorithmChoice *c)
{
    return &be->choices[c - matmuls_of(be)->choices];
}

void matmul_forget_choices(gp_backend *be)
{
    Matmuls *m = matmuls_of(be);
    free(m->choices);
    m->choices = nullptr;
    m->choice_count = 0;
}

int gp_cuda_choose_product(gp_backend *be, const gp_product_choice *choice)
{
    unsigned parts;
    cublasLtMatmulAlgo_t algorithm = {};
    if (!parse_way(choice->way, &parts) || (*choice->algorithm && !parse_algorithm(choice->algorithm, &algorithm)))
        return fail("%s: backend cuda does not know way %s with algorithm \"%s\"", choice->product, choice->way,
                    choice->algorithm);
    AlgorithmChoice *c = add_choice(be);
    c->parts = parts;
    c->usable = true;
    c->has_algorithm = *choice->algorithm != 0;
    c->algorithm = algorithm;
    *words_of(be, c) = *choice;
    return 0;
}

/* First occurrence of the product of a recorded choice: checks whether its algorithm is supported here. */
static void meet(gp_backend *be, const Product *p, AlgorithmChoice *c)
{
    Product part = matmul_part(p, c->parts);
    c->met = true;
    c->problem = matmul_problem(p);
    if (c->has_algorithm && !matmul_lt_has(be, &part, &c->algorithm)) {
        c->usable = false;
        words_of(be, c)->lost = true;
    }
}

static AlgorithmChoice *find_choice(gp_backend *be, const Product *p)
{
    Matmuls *m = matmuls_of(be);
    Problem problem = matmul_problem(p);
    char name[sizeof be->choices->product] = "";
    for (int i = 0; i < m->choice_count; i++)
        if (m->choices[i].met && !memcmp(&m->choices[i].problem, &problem, sizeof problem))
            return &m->choices[i];
    for (int i = 0; i < m->choice_count; i++) {
        if (m->choices[i].met)
            continue;
        if (!*name)
            name_product(be, p, name, sizeof name);
        if (!strcmp(be->choices[i].product, name)) {
            meet(be, p, &m->choices[i]);
            return &m->choices[i];
        }
    }
    return nullptr;
}

static void keep_choice(gp_backend *be, const Product *p, AlgorithmChoice *c, unsigned parts,
                        const cublasLtMatmulAlgo_t *algorithm)
{
    gp_product_choice *words = words_of(be, c);
    *c = {matmul_problem(p), true, true, algorithm != nullptr, parts, {}};
    name_product(be, p, words->product, sizeof words->product);
    snprintf(words->way, sizeof words->way, "%s", name_of(parts));
    *words->algorithm = *words->details = 0;
    if (algorithm) {
        c->algorithm = *algorithm;
        print_algorithm(algorithm, words->algorithm, sizeof words->algorithm);
        describe_algorithm(matmuls_of(be), algorithm, words->details, sizeof words->details);
    }
}

void matmul_fell_back(gp_backend *be, const Product *p, unsigned parts)
{
    AlgorithmChoice *c = find_choice(be, p);
    if (!c)
        c = add_choice(be);
    keep_choice(be, p, c, parts, nullptr);
    words_of(be, c)->refused = true;
    words_of(be, c)->seconds = words_of(be, c)->first_seconds = 0;
}

/* ---- measuring ------------------------------------------------------------------------------------------- */

struct Candidate {
    unsigned parts;
    cublasLtMatmulAlgo_t algorithm;
    float milliseconds; /* min over ROUNDS */
};

/* The first candidate is what would be used without a measurement, where that is the library. */
static int list_candidates(gp_backend *be, const Product *p, Candidate list[CANDIDATES])
{
    constexpr unsigned all = GP_CUDA_LT | GP_CUDA_FUSE_BIAS | GP_CUDA_FUSE_GELU | GP_CUDA_FUSE_SUMS;
    unsigned usual[MAX_WAYS], ways[MAX_WAYS];
    int count = matmul_ways(p, all, ways), n = 0, taken = 0;
    matmul_ways(p, matmuls_of(be)->ways, usual);
    if (!usual[0]) /* cuBLASLt is not allowed */
        return 0;
    for (int pass = 0; pass < 2; pass++) /* the default way first, then others */
        for (int i = 0; i < count - 1 && taken < WAYS; i++) {
            if ((ways[i] == usual[0]) != (pass == 0))
                continue;
            cublasLtMatmulAlgo_t algorithms[ALGORITHMS];
            Product part = matmul_part(p, ways[i]);
            int found = matmul_lt_algorithms(be, &part, ALGORITHMS, algorithms);
            for (int a = 0; a < found; a++)
                list[n++] = {ways[i], algorithms[a], INFINITY};
            taken += found > 0;
        }
    return n;
}

/* Removes candidates that the library refuses to run. */
static int try_candidates(gp_backend *be, const Product *p, Candidate *list, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        if (matmul_by(be, p, {list[i].parts, &list[i].algorithm}))
            list[n++] = list[i];
    return n;
}

/* Times the candidates by CUDA events, round robin, so that none benefits from a cooler GPU. */
static void time_candidates(gp_backend *be, const Product *p, Candidate *list, int count)
{
    constexpr int ROUNDS = 5;
    cudaEvent_t at[CANDIDATES + 1];
    for (int i = 0; i <= count; i++)
        CUDA_CHECK(cudaEventCreateWithFlags(&at[i], cudaEventDefault));
    for (int round = 0; round < ROUNDS; round++) {
        CUDA_CHECK(cudaEventRecord(at[0], state_of(be)->stream));
        for (int i = 0; i < count; i++) {
            (void)matmul_by(be, p, {list[i].parts, &list[i].algorithm});
            CUDA_CHECK(cudaEventRecord(at[i + 1], state_of(be)->stream));
        }
        CUDA_CHECK(cudaEventSynchronize(at[count]));
        for (int i = 0; i < count; i++) {
            float milliseconds;
            CUDA_CHECK(cudaEventElapsedTime(&milliseconds, at[i], at[i + 1]));
            list[i].milliseconds = fminf(list[i].milliseconds, milliseconds);
        }
    }
    for (int i = 0; i <= count; i++)
        CUDA_CHECK(cudaEventDestroy(at[i]));
}

/* Measures on the product's own data: where D is accumulated (beta = 1) it grows meanwhile, and the pass that measures
 * is discarded. Null where the library has no algorithm. */
static AlgorithmChoice *measure(gp_backend *be, const Product *p, AlgorithmChoice *c)
{
    Candidate list[CANDIDATES];
    int count = list_candidates(be, p, list), best = 0;
    count = try_candidates(be, p, list, count);
    matmuls_of(be)->refused = false;
    if (!count)
        return nullptr;
    time_candidates(be, p, list, count);
    for (int i = 1; i < count; i++)
        if (list[i].milliseconds < list[best].milliseconds)
            best = i;
    if (static_cast<double>(list[best].milliseconds) > GAIN * static_cast<double>(list[0].milliseconds))
        best = 0;
    if (!c)
        c = add_choice(be);
    keep_choice(be, p, c, list[best].parts, &list[best].algorithm);
    words_of(be, c)->seconds = 1e-3 * static_cast<double>(list[best].milliseconds);
    words_of(be, c)->first_seconds = 1e-3 * static_cast<double>(list[0].milliseconds);
    return c;
}

bool matmul_chosen(gp_backend *be, const Product *p, Way *way)
{
    bool measures = be->measures_products && !state_of(be)->capturing;
    if (!measures && !be->choice_count)
        return false;
    AlgorithmChoice *c = find_choice(be, p);
    if (measures && (!c || !c->usable))
        c = measure(be, p, c);
    if (!c || !c->usable)
        return false;
    words_of(be, c)->calls += measures;
    *way = {c->parts, c->has_algorithm ? &c->algorithm : nullptr};
    return true;
}
