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
    allNear('head 1, the last token', rowsIn(heads[1].attn)[4], [0.164307180782, 0.164307180782, 0.164307180782, 0.446633223806,
        0.0604452338467], 1e-11);
    allNear('y', [...projection.data], [2, -2, 2.5, -1.5, 3, -1, 3.09035331946, -1.09035331946, 3, -1], 1e-11);
    check('what an expression may name', Object.keys(givenOf(given, 0).matrices), ['x', 'Q', 'K', 'V', 'wQ', 'wK', 'wV', 'wO']);
    check('x wQ is Q', rowsIn(evaluate(parseExpression('x wQ'), givenOf(given, 1)).value), [[0], [1], [2], [1], [1]]);
    check('the divisor of GPT-2', [divisorOfLayer({}, 3, 16), divisorOfLayer({scale_attn_weights: false}, 3, 16),
        divisorOfLayer({scale_attn_by_inverse_layer_idx: true}, 3, 16)], [4, 1, 16]);
    refuses('a trace of something else', () => attentionModules({tensors: new Map(), metadata: {}}), 'no attention in it');
    refuses('another family', () => attentionModules({...exampleTrace(), metadata: {'gptpipe.config': '{"model_type": "llama"}'}}),
        'of the family llama, expected gpt2, bert, roberta');
}

const figureNamed = title => all('figure').find(f => f.querySelector('h2').textContent === title);

async function testSteps() {
    check('the first step', [all('[role=tab]').length, $('[aria-selected=true]').textContent], [5, '1 General']);
    check('scores', cellsOf('Q K^T'), [['0', '1', '2', '1', '1'], ['1', '3', '5', '4', '2'], ['2', '5', '8', '7', '3'],
        ['1', '4', '7', '5', '3'], ['1', '2', '3', '3', '1']]);
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
    const map = figureNamed('Attention map');
    map.querySelector('svg').dispatchEvent(new KeyboardEvent('keydown', {key: 'End'}));
    map.querySelector('svg').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown'}));
    check('the map is read', map.querySelector('output').textContent, 'cat, the: 0.5');
    map.querySelector('svg').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}));
    check('and followed', [location.hash, $('.trail').textContent], ['#step=5&head=1&spot=ll.1.0&trail=ll.1.0', 'attn[1, 0] = 0.5']);
    location.hash = '#step=5&head=1';
    await later(50);
    check('labels are the words', [...tableOf('attn').tHead.rows[0].cells].map(c => c.textContent), ['', 'the', 'cat', 'saw', 'the', 'dog']);
}

function testCode() {
    check('each step quotes code', ATTENTION_STEPS.every(s => s.code.length > 0), true);
    const quoted = document.createElement('pre');
    quoted.id = 'quoted';
    quoted.textContent = ATTENTION_STEPS.flatMap(s => s.code.map(([file, line]) => `${file}\t${line}\n`)).join('');
    document.body.append(quoted);
}

async function testAddress() {
    check('the state is in the address', location.hash, '#step=5&head=1');
    location.hash = '#step=2';
    await later(50);
    check('the address is read', $('[aria-selected=true]').textContent, '2 Causal');
    location.hash = '#step=99&layer=7&head=-3';
    await later(50);
    check('a wrong address', [$('[aria-selected=true]').textContent, $('[data-key=layer]').value, $('[data-key=head]').value],
        ['5 Output projection', '0', '0']);
    $('[role=tablist]').dispatchEvent(new KeyboardEvent('keydown', {key: 'Home', bubbles: true}));
    check('keys', [$('[aria-selected=true]').textContent, document.activeElement.id], ['1 General', 'tab1']);
    $('[role=tablist]').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
    check('the next tab', $('[aria-selected=true]').textContent, '2 Causal');
}

// ---- following one number ----
function testFollow() {
    const model = followedModel(exampleTrace()), explained = text => model.explain(model.cellOf(text));
    check('cells', [textOfCell(model.cellOf('q.0.0.2.1')), model.cellOf('q.1.0.2.1'), model.cellOf('q.0.0.5.1'), model.cellOf('q.0.0.2.2'),
        model.cellOf('fc.0.0.0.0'), model.cellOf('x.0.0.0.0'), model.cellOf('toString.0.0.0.0')],
        ['q.0.0.2.1', null, null, null, null, null, null]);
    const q = explained('q.0.0.2.0'); // [1, 2] times [1, 1]
    check('q', [q.value, q.traced, q.rows.map(r => r.map(c => c.text ?? c))], [3, 3,
        [['0', 'hidden[2, 0] = 1', 'w[0, 0] = 1', '1', '1'], ['1', 'hidden[2, 1] = 2', 'w[1, 0] = 1', '2', '3']]]);
    check('the token', [explained('hidden.0.0.2.1').value, explained('hidden.0.0.2.1').rows], [2, [['0', 'wte[2, 1] = 1'], ['1', 'wpe[2, 1] = 1']]]);
    const score = explained('score.0.0.3.2');
    check('a score', [score.value, score.traced, score.results], [6, null, [['sum', 6], ['divided by', 1]]]); // q 3, k 2, sqrt(1)
    near('attention', explained('attn.0.0.3.2').value, 0.907397467092, 1e-11);
    check('what it reads', explained('attn.0.0.3.2').rows.map(r => r[1].cell), [0, 1, 2,
        3].map(col => ({of: 'score', layer: 0, head: 0, row: 3, col})));
    check('what is masked', [explained('attn.0.0.1.3').value, explained('attn.0.0.1.3').text],
        [0, 'Token 1 does not see token 3, which comes after it: 0.']);
    near('context', explained('context.0.0.3.0').value, 2.09035331946, 1e-11);
    near('projection', explained('projection.0.0.3.0').value, 3.09035331946, 1e-11);
    const tree = evaluate(parseExpression('out = (attn = softmax(tril(Q K^T))) V'), givenOf(attentionOf(exampleTrace(), 0), 1)),
        place = {layer: 0, head: 1, scalars: {D: 1}};
    const spot = text => explainSpot(tree, spotOf(text, tree), attentionOf(exampleTrace(), 0), place); // head 1: q [0, 1, 2, 1, 1], k [1, 1, 1, 2, 0]
    check('a cell of the blocks', [spot('l.2.1').results[0], spot('l.2.1').results[1]], [['sum', 2], ['tril', 2]]);
    near('after its epilogue', spot('l.2.1').results[2][1], 1 / 3);
    check('above the diagonal', spot('l.1.3').results.map(r => r[1]), [2, -Infinity, 0]);
    check('what it is made of', spot('l.2.1').rows[0].slice(1, 3).map(c => c.spot), [{path: 'll', row: 2, col: 0}, {path: 'lr', row: 0, col: 1}]);
    check('a given matrix is of the model', [spot('ll.2.0').rows[0][1].cell, spot('lr.0.3').rows[0][1].cell],
        [{of: 'q', layer: 0, head: 0, row: 2, col: 1}, {of: 'k', layer: 0, head: 0, row: 3, col: 1}]);
}

async function testFollowing() {
    location.hash = '#step=5';
    await later(50);
    const press = text => [...document.querySelectorAll('button.cell')].find(b => b.textContent === text).click(),
        crumbs = () => all('.trail button').map(b => b.textContent);
    $('[data-key=follow-of]').value = 'projection';
    $('[data-key=follow-row]').value = 3;
    $('[data-key=follow]').click();
    check('a walk begins', [crumbs(), location.hash], [['projection[3, 0] of layer 0 = 3.0904'], '#step=5&trail=projection.0.0.3.0']);
    press('context[3, 0] = 2.09035'), press('attn[3, 2] = 0.907397'), press('score[3, 2] = 6'), press('k[2, 0] = 2'), press('hidden[2, 1] = 2');
    check('to the embedding', crumbs(), ['projection[3, 0] of layer 0 = 3.0904', 'context[3, 0] of layer 0 = 2.0904',
        'attn of head 0[3, 2] = 0.9074', 'score of head 0[3, 2] of layer 0 = 6', 'k[2, 0] of layer 0 = 2', 'hidden.0[2, 1] = 2']);
    check('the end has parameters alone', [all('button.cell').length, $('.results').textContent], [0, 'hidden.0[2, 1] = 2']);
    all('.trail button')[1].click();
    check('back', crumbs().length, 2);
    const link = location.hash;
    location.hash = '#step=5';
    await later(50);
    check('no walk', $('.trail'), null);
    location.hash = link;
    await later(50);
    check('the link comes back', crumbs().length, 2);
    location.hash = '#step=5&spot=l.3.0&trail=l.3.0&trail=ll.3.2&trail=lll.3.0&trail=nonsense';
    await later(50);
    check('a walk through the blocks', crumbs(), ['attn V[3, 0] = 2.0904', 'attn[3, 2] = 0.9074', 'Q[3, 0] = 3']);
    press('q[3, 0] = 3');
    check('into the model', crumbs()[3], 'q[3, 0] of layer 0 = 3');
}
