// explain_attention.js: runs in the page of the built-in example, [B, T, C] = [1, 5, 2]. Expected values are from numpy: x =
// [[1,0],[1,1],[1,2],[2,1],[0,1]], Q = x [[1,0],[1,1]], K = x [[0,1],[1,0]], V = x [[2,0],[0,1]], wO = [[1,-1],[1,1]].
'use strict';
const tableOf = caption => all('table').find(t => t.caption.textContent === caption);
const cellsOf = caption => [...tableOf(caption).querySelectorAll('tbody tr')].map(r => [...r.children].slice(1).map(c => c.textContent));
const clickTab = n => $(`#tab${n}`).click();

function testExample() {
    const given = attentionOf(exampleTrace(), 0), {heads, projection} = computeHeads(given);
    check('sizes', [given.T, given.C, given.H, given.D, given.causal], [5, 2, 2, 1, true]);
    check('x', rowsIn(given.x), [[1, 0], [1, 1], [1, 2], [2, 1], [0, 1]]);
    check('Q', rowsIn(given.Q), [[1, 0], [2, 1], [3, 2], [3, 1], [1, 1]]);
    check('K', rowsIn(given.K), [[0, 1], [1, 1], [2, 1], [1, 2], [1, 0]]);
    check('V', rowsIn(given.V), [[2, 0], [2, 1], [2, 2], [4, 1], [0, 1]]);
    allNear('head 0, the fourth token', rowsIn(heads[0].attn)[3], [0.00224921344665, 0.0451766597309, 0.907397467092, 0.0451766597309, 0], 1e-11);
    allNear('head 1, the last token', rowsIn(heads[1].attn)[4], [0.164307180782, 0.164307180782, 0.164307180782, 0.446633223806, 0.0604452338467], 1e-11);
    allNear('y', [...projection.data], [2, -2, 2.5, -1.5, 3, -1, 3.09035331946, -1.09035331946, 3, -1], 1e-11);
    check('what an expression may name', Object.keys(givenOf(given, 0).matrices), ['x', 'Q', 'K', 'V', 'wQ', 'wK', 'wV', 'wO']);
    check('x wQ is Q', rowsIn(evaluate(parseExpression('x wQ'), givenOf(given, 1)).value), [[0], [1], [2], [1], [1]]);
    check('the divisor of GPT-2', [divisorOfLayer({}, 3, 16), divisorOfLayer({scale_attn_weights: false}, 3, 16), divisorOfLayer({scale_attn_by_inverse_layer_idx: true}, 3, 16)], [4, 1, 16]);
    refuses('a trace of something else', () => attentionModules({tensors: new Map()}), 'no attention in it');
}

function testSteps() {
    check('the first step', [all('[role=tab]').length, $('[aria-selected=true]').textContent], [5, '1 General']);
    check('scores', cellsOf('Q K^T'), [['0', '1', '2', '1', '1'], ['1', '3', '5', '4', '2'], ['2', '5', '8', '7', '3'], ['1', '4', '7', '5', '3'], ['1', '2', '3', '3', '1']]);
    check('general', [cellsOf('attn')[0], cellsOf('out')[3]], [['0.060445', '0.16431', '0.44663', '0.16431', '0.16431'], ['2.1941', '1.8272']]);
    clickTab(2);
    check('causal scores', cellsOf('tril(Q K^T)')[1], ['1', '3', '−∞', '−∞', '−∞']);
    check('causal', [cellsOf('attn')[2], cellsOf('out')[3]], [['0.0023556', '0.047314', '0.95033', '0', '0'], ['2.2279', '1.8399']]);
    clickTab(3);
    check('scaled', [cellsOf('attn')[1], cellsOf('out')[4]], [['0.19557', '0.80443', '0', '0', '0'], ['2.5081', '1.254']]);
    check('both divisors', $('[role=tabpanel]').textContent.includes('√n_embd, GPT-2 by √(head size)'), true);
    clickTab(4);
    check('head 0', [cellsOf('attn')[3], cellsOf('out')[3]], [['0.0022492', '0.045177', '0.9074', '0.045177', '0'], ['2.0904']]);
    $('[data-key=head]').value = 1;
    $('[data-key=head]').dispatchEvent(new Event('change'));
    check('head 1', [cellsOf('attn')[3], cellsOf('out').flat()], [['0.17488', '0.17488', '0.17488', '0.47537', '0'], ['0', '0.5', '1', '1', '1']]);
    clickTab(5);
    check('a head\'s part', cellsOf('out: head 1\'s part of y'), [['0', '0'], ['0.5', '0.5'], ['1', '1'], ['1', '1'], ['1', '1']]);
    check('y', cellsOf('y')[3], ['3.0904', '-1.0904']);
    check('formulas', all('math').length > 0, true);
    check('labels are the words', [...tableOf('attn').tHead.rows[0].cells].map(c => c.textContent), ['', 'the', 'cat', 'saw', 'the', 'dog']);
}

function testCode() {
    check('each step quotes code', ATTENTION_STEPS.every(s => s.code.length > 0), true);
    const quoted = document.createElement('pre');
    quoted.id = 'quoted';
    quoted.textContent = ATTENTION_STEPS.flatMap(s => s.code.map(([file, line]) => `${file}\t${line}`)).join('\n');
    document.body.append(quoted);
}

async function testAddress() {
    check('the state is in the address', location.hash, '#step=5&head=1');
    location.hash = '#step=2';
    await later(50);
    check('the address is read', $('[aria-selected=true]').textContent, '2 Causal');
    location.hash = '#step=99&layer=7&head=-3';
    await later(50);
    check('a wrong address', [$('[aria-selected=true]').textContent, $('[data-key=layer]').value, $('[data-key=head]').value], ['5 Output projection', '0', '0']);
    $('[role=tablist]').dispatchEvent(new KeyboardEvent('keydown', {key: 'Home', bubbles: true}));
    check('keys', [$('[aria-selected=true]').textContent, document.activeElement.id], ['1 General', 'tab1']);
    $('[role=tablist]').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
    check('the next tab', $('[aria-selected=true]').textContent, '2 Causal');
}
