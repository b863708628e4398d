// explain_trace.js: runs in the page of a real trace; TRACED has numbers of its tensors as od printed them.
'use strict';

async function testTrace() {
    location.hash = '#step=5&layer=1&head=1';
    await later(50);
    const tables = caption => all('table').find(t => t.caption.textContent === caption), cells = t => [...t.querySelectorAll('tbody td')].map(c => Number(c.textContent));
    for (const [caption, numbers] of [['attn of head 1, trace', TRACED.attentions], ['attn of head 1, here', TRACED.attentions], ['y, trace', TRACED.projection], ['y, here', TRACED.projection]])
        allNear(caption, cells(tables(caption)), numbers, 1e-4);
    check('digits', cells(tables('y, trace')), TRACED.projection.map(x => Number(x.toPrecision(5))));
    const near0 = all('[role=tabpanel] p').map(p => /largest difference is (.*)\.$/.exec(p.textContent)).filter(m => m).map(m => Number(m[1]) < 1e-5);
    check('computed here as by the model', near0, [true, true, true]);
    check('the heading', $('#page p').textContent.startsWith('gpt2: 2 layers, [B, T, C] = [1, 4, 8], 2 heads of 4.'), true);
    check('tokens', [...tables('attn of head 1, trace').tHead.rows[0].cells].map(c => c.textContent), ['', 'O', 'n', 'c', 'e']);
}
