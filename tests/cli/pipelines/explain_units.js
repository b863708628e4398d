// explain_units.js: pure functions of data/explain/, run in the browser without a page. Expected values are from arithmetic
// on paper, bytes of floats from IEEE 754.
'use strict';

// A safetensors file: header (an object or its text) and data as bytes.
function safetensorsBytes(header, data = [], length = null) {
    const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
    const bytes = new Uint8Array(8 + text.length + data.length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? text.length), true);
    bytes.set(text, 8);
    bytes.set(data, 8 + text.length);
    return bytes;
}

// 1.5 and -2 as F32, 7 and -1 as I32, little-endian.
const FLOATS = [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0], INTEGERS = [7, 0, 0, 0, 255, 255, 255, 255];
const TWO = {
    __metadata__: {format: 'pt', 'gptpipe.config': '{"n_head": 2}', 'gptpipe.texts': '["a", "é"]'},
    x: {dtype: 'F32', shape: [1, 2], data_offsets: [0, 8]}, tokens: {dtype: 'I32', shape: [2], data_offsets: [8, 16]},
};

function testSafetensors() {
    const trace = readSafetensors(safetensorsBytes(TWO, [...FLOATS, ...INTEGERS]));
    check('names', [...trace.tensors.keys()], ['x', 'tokens']);
    check('floats', [...trace.tensors.get('x').data], [1.5, -2]);
    check('integers', [...trace.tensors.get('tokens').data], [7, -1]);
    check('shape', trace.tensors.get('x').shape, [1, 2]);
    check('metadata', trace.metadata.format, 'pt');
    check('config', configOfTrace(trace), {n_head: 2});
    check('texts', textsOfTrace(trace), ['a', 'é']);
    check('no config', configOfTrace({metadata: {}}), {});
    check('no texts', textsOfTrace({metadata: {}}), []);
    refuses('a config of JSON that is none', () => configOfTrace({metadata: {'gptpipe.config': '{'}}), 'gptpipe.config in the trace is no JSON object');
    refuses('texts that are none', () => textsOfTrace({metadata: {'gptpipe.texts': '[1]'}}), 'gptpipe.texts in the trace is no JSON list of texts');
    check('needed', needTensor(trace, 'x', [1, null]).shape, [1, 2]);
    check('needed of any shape', needTensor(trace, 'x').shape, [1, 2]);
    refuses('a missing tensor', () => needTensor(trace, 'y'), 'the trace has no tensor y');
    refuses('another shape', () => needTensor(trace, 'x', [2, null]), 'tensor x of the trace is [1, 2], expected [2, any]');
    refuses('another number of dims', () => needTensor(trace, 'x', [null]), 'expected [any]');
    check('nothing but a header', readSafetensors(safetensorsBytes({})).tensors.size, 0);
    check('a scalar', [...readSafetensors(safetensorsBytes({s: {dtype: 'F32', shape: [], data_offsets: [0, 4]}}, FLOATS.slice(0, 4))).tensors.get('s').data], [1.5]);
    const part = new Uint8Array([9, 9, 9, ...safetensorsBytes(TWO, [...FLOATS, ...INTEGERS])]).subarray(3);
    check('bytes within others', [...readSafetensors(part).tensors.get('x').data], [1.5, -2]);
}

function testDamagedSafetensors() {
    const read = (...a) => () => readSafetensors(safetensorsBytes(...a)), entry = e => ({x: {dtype: 'F32', shape: [2], data_offsets: [0, 8], ...e}});
    refuses('no byte', () => readSafetensors(new Uint8Array(0)), 'cut short (0 bytes');
    refuses('seven bytes', () => readSafetensors(new Uint8Array(7)), 'cut short (7 bytes');
    refuses('a header cut short', read('{}', [], 3), 'cut short in its header');
    refuses('a header of 2^63 bytes', read('{}', [], 2 ** 63), 'cut short in its header');
    refuses('not JSON', read('{x}'), 'not JSON');
    refuses('not UTF-8', () => readSafetensors(new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe])), 'not JSON');
    refuses('a list', read('[]'), 'no JSON object');
    refuses('null', read('null'), 'no JSON object');
    refuses('metadata of numbers', read({__metadata__: {a: 1}}), 'metadata');
    refuses('an entry that is null', read({x: null}), 'no shape or place');
    refuses('no shape', read(entry({shape: 2}), FLOATS), 'tensor x of the trace has no shape or place');
    refuses('a negative dim', read(entry({shape: [-2]}), FLOATS), 'no shape or place');
    refuses('half a dim', read(entry({shape: [0.5]}), FLOATS), 'no shape or place');
    refuses('one offset', read(entry({data_offsets: [0]}), FLOATS), 'no shape or place');
    refuses('another type', read(entry({dtype: 'BF16'}), FLOATS), 'tensor x of the trace is BF16, expected F32 or I32');
    refuses('a name of Object', read(entry({dtype: 'toString'}), FLOATS), 'expected F32 or I32');
    refuses('a wrong size', read(entry({shape: [3]}), FLOATS), 'has 8 bytes, its shape [3] needs 12');
    refuses('data cut short', read(entry({}), FLOATS.slice(0, 7)), 'cut short (tensor x ends at byte 8 of 7)');
    refuses('bytes at the end', read(entry({}), [...FLOATS, 0]), '1 bytes after its last tensor');
    refuses('no alignment', read(entry({data_offsets: [2, 10]}), [0, 0, ...FLOATS]), 'not aligned');
    refuses('an overlap', read({...entry({}), y: {dtype: 'F32', shape: [1], data_offsets: [4, 8]}}, FLOATS), 'overlap');
}
