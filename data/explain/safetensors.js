// safetensors.js: reads the safetensors file that `sample --trace` wrote (docs/formats.md). Neither the document nor
// anything outside the arguments is touched. What is damaged is an Error whose message is one sentence.
//
//     const trace = readSafetensors(bytes);
//     needTensor(trace, 'attentions.0', [1, null, 5, 5]).data       Float32Array, rows one after another
'use strict';

const SAFETENSORS_TYPES = {F32: Float32Array, I32: Int32Array};

// {metadata: {key: text}, tensors: Map(name -> {dtype, shape, data})}, the tensors in the order of the file. `data` is a
// view of a copy of the bytes, so that it is aligned whatever the header's length.
function readSafetensors(bytes) {
    const {header, start} = safetensorsHeader(bytes), data = bytes.slice(start).buffer, tensors = new Map();
    const {__metadata__: metadata = {}, ...entries} = header;
    if (!isPlainObject(metadata) || Object.values(metadata).some(v => typeof v !== 'string'))
        throw new Error('the metadata of the trace are not texts');
    let end = 0;
    for (const [name, entry] of Object.entries(entries)) {
        const tensor = safetensorsTensor(name, entry, data);
        end = Math.max(end, entry.data_offsets[1]);
        tensors.set(name, tensor);
    }
    const ranges = Object.values(entries).map(e => e.data_offsets).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    for (let i = 1; i < ranges.length; i++)
        if (ranges[i][0] < ranges[i - 1][1])
            throw new Error('two tensors of the trace overlap');
    if (end < data.byteLength)
        throw new Error(`the trace has ${data.byteLength - end} bytes after its last tensor`);
    return {metadata, tensors};
}

function isPlainObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// The file: the header's length in 8 bytes, little-endian; the header, JSON; the data.
function safetensorsHeader(bytes) {
    if (bytes.length < 8)
        throw new Error(`the trace is cut short (${bytes.length} bytes, expected at least 8)`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length), length = Number(view.getBigUint64(0, true));
    if (length > bytes.length - 8)
        throw new Error(`the trace is cut short in its header, or is no safetensors file (${bytes.length} bytes, its header needs ${length})`);
    let header;
    try {
        header = JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(bytes.subarray(8, 8 + length)));
    } catch {
        throw new Error('the header of the trace is not JSON');
    }
    if (!isPlainObject(header))
        throw new Error('the header of the trace is no JSON object');
    return {header, start: 8 + length};
}

function safetensorsTensor(name, entry, data) {
    const {dtype, shape, data_offsets: range} = entry ?? {}, whole = n => Number.isSafeInteger(n) && n >= 0;
    if (!Array.isArray(shape) || !shape.every(whole) || !Array.isArray(range) || range.length !== 2 || !range.every(whole))
        throw new Error(`tensor ${name} of the trace has no shape or place`);
    if (!Object.hasOwn(SAFETENSORS_TYPES, dtype))
        throw new Error(`tensor ${name} of the trace is ${dtype}, expected F32 or I32`);
    const count = shape.reduce((a, b) => a * b, 1);
    if (range[1] - range[0] !== 4 * count)
        throw new Error(`tensor ${name} of the trace has ${range[1] - range[0]} bytes, its shape [${shape.join(', ')}] needs ${4 * count}`);
    if (range[1] > data.byteLength)
        throw new Error(`the trace is cut short (tensor ${name} ends at byte ${range[1]} of ${data.byteLength})`);
    if (range[0] % 4)
        throw new Error(`tensor ${name} of the trace is not aligned`);
    return {dtype, shape, data: new SAFETENSORS_TYPES[dtype](data, range[0], count)};
}

// The tensor of that name; null in `shape` stands for any size, no `shape` for any shape.
function needTensor(trace, name, shape = null) {
    const tensor = trace.tensors.get(name);
    if (!tensor)
        throw new Error(`the trace has no tensor ${name}`);
    const fits = !shape || (shape.length === tensor.shape.length && shape.every((n, i) => n === null || n === tensor.shape[i]));
    if (!fits)
        throw new Error(`tensor ${name} of the trace is [${tensor.shape.join(', ')}], expected [${shape.map(n => n ?? 'any').join(', ')}]`);
    return tensor;
}

// The configuration of the traced model, with the keys of a checkpoint's config.json.
function configOfTrace(trace) {
    return metadataOfTrace(trace, 'gptpipe.config', isPlainObject, 'object') ?? {};
}

// The text of each id, [] where the model had no tokenizer.
function textsOfTrace(trace) {
    return metadataOfTrace(trace, 'gptpipe.texts', v => Array.isArray(v) && v.every(t => typeof t === 'string'), 'list of texts') ?? [];
}

function metadataOfTrace(trace, key, accepts, expected) {
    if (!Object.hasOwn(trace.metadata, key))
        return null;
    let value = null;
    try {
        value = JSON.parse(trace.metadata[key]);
    } catch {
        // reported below
    }
    if (!accepts(value))
        throw new Error(`${key} in the trace is no JSON ${expected}`);
    return value;
}
