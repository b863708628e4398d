// layers.js: what a layer of a transformer computes, on rows of numbers, in double; and what sampling makes of logits.
// Nothing outside the arguments is touched.
'use strict';

// exp(x - max) / sum, in place; a row without a finite number becomes all 0.
function softmaxRow(row) {
    const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
    let sum = 0;
    for (let i = 0; i < row.length; i++)
        sum += row[i] = max === -Infinity ? 0 : Math.exp(row[i] - max);
    for (let i = 0; i < row.length; i++)
        row[i] /= sum || 1;
}

function softmaxOf(row) {
    const p = Float64Array.from(row);
    softmaxRow(p);
    return p;
}

// Abramowitz and Stegun 1964, 7.1.5 (series) and 7.1.14 (continued fraction): to about 1e-15.
function erf(x) {
    const size = Math.abs(x);
    if (size < 2.5) {
        let term = size, sum = size;
        for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
            term *= -size * size / n;
            sum += term / (2 * n + 1);
        }
        return Math.sign(x) * 2 / Math.sqrt(Math.PI) * sum;
    }
    let fraction = 0;
    for (let n = 60; n > 0; n--)
        fraction = n / 2 / (size + fraction);
    return Math.sign(x) * (1 - Math.exp(-size * size) / Math.sqrt(Math.PI) / (size + fraction));
}

// x Phi(x) (Hendrycks and Gimpel 2016), and their approximation by tanh, which GPT-2 uses.
function gelu(x) {
    return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

function geluTanh(x) {
    return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

function sigmoid(x) {
    return 1 / (1 + Math.exp(-x));
}

// The activations of config.json, by name.
const ACTIVATIONS = {gelu, gelu_new: geluTanh, relu: x => Math.max(0, x), tanh: Math.tanh};

// y = (x - mean) rstd gain + bias, with rstd = 1 / sqrt(variance + eps) (Ba, Kiros and Hinton 2016). Where gain and bias
// are null they are 1 and 0.
function layerNormOf(row, gain, bias, eps) {
    const C = row.length, mean = sumOf(row) / C, variance = sumOf(Float64Array.from(row, x => (x - mean) ** 2)) / C;
    const rstd = 1 / Math.sqrt(variance + eps), normalized = Float64Array.from(row, x => (x - mean) * rstd);
    return {mean, variance, rstd, normalized, y: normalized.map((x, i) => x * (gain ? gain[i] : 1) + (bias ? bias[i] : 0))};
}

// (x - mean) rstd, in place
function normalizeRow(row, eps = 1e-5) {
    row.set(layerNormOf(row, null, null, eps).normalized);
}

function sumOf(row) {
    let sum = 0;
    for (const x of row)
        sum += x;
    return sum;
}

// y = x W + b; x (n), weight (n,m) or, stored as (m,n), transposed.
function linearOf(row, weight, bias, transposed) {
    const n = row.length, m = weight.length / n, y = new Float64Array(m);
    for (let j = 0; j < m; j++) {
        let sum = bias ? bias[j] : 0;
        for (let i = 0; i < n; i++)
            sum += row[i] * weight[transposed ? j * n + i : i * m + j];
        y[j] = sum;
    }
    return y;
}

// The indices of the n largest numbers, the largest first; of equals the lower index.
function largest(row, n) {
    const top = [];
    for (let i = 0; i < row.length; i++) {
        if (top.length === n && !(row[i] > row[top[n - 1]]))
            continue;
        let at = top.length < n ? top.length : n - 1;
        for (; at > 0 && row[i] > row[top[at - 1]]; at--)
            top[at] = top[at - 1];
        top[at] = i;
    }
    return top;
}

// The distribution that a token is drawn from: logits divided by the temperature, then the k most likely alone (0: all),
// then the fewest of these whose probabilities reach p; in this order, as in sample and in transformers. Temperature 0
// takes the most likely. {p: probabilities (V), 0 where a token is left out; kept: how many remain}.
function filteredDistribution(logits, {temperature, topK, topP}) {
    const V = logits.length;
    if (temperature === 0) {
        const p = new Float64Array(V);
        p[largest(logits, 1)[0]] = 1;
        return {p, kept: 1};
    }
    let scores = Float64Array.from(logits, x => x / temperature);
    if (topK > 0 && topK < V) {
        const least = scores[largest(scores, topK)[topK - 1]];
        scores = scores.map(x => x < least ? -Infinity : x);
    }
    let p = softmaxOf(scores);
    if (topP < 1) {
        const order = Array.from(p.keys()).sort((a, b) => p[b] - p[a] || a - b);
        let sum = 0;
        for (const i of order) {
            if (sum >= topP)
                scores[i] = -Infinity;
            sum += p[i];
        }
        p = softmaxOf(scores);
    }
    return {p, kept: p.reduce((n, x) => n + (x > 0), 0)};
}

// -sum p log p, in nats.
function entropyOf(p) {
    let sum = 0;
    for (const x of p)
        sum -= x > 0 ? x * Math.log(x) : 0;
    return sum;
}
