"""Writes bag_of_words.h: what scikit-learn's TfidfVectorizer and LogisticRegression make of four texts.

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1
    venv/bin/python tests/reference/bag_of_words.py > tests/reference/bag_of_words.h
"""
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

TEXTS = ["The plot was good, the CAST was good.", "A dull plot; I was bored.", "Not good, not bad.", "Good cast!"]
LABELS = [1, 0, 0, 1]
NEW = "Bad plot, unknown_word: bad."

print(f"/* Made by bag_of_words.py with scikit-learn {sklearn.__version__}. */")
print("static const char *const texts[] = {\n" + "".join(f'    "{t}",\n' for t in TEXTS) + "};")
print(f'static const int labels[] = {{{", ".join(map(str, LABELS))}}};')
print(f'static const char *const new_text = "{NEW}";')
print("static const struct {\n    int ngrams;\n    const char *term;\n    double idf, tfidf[4], weight;\n} terms[] = {")
rest = []
for n in 1, 2:
    v = TfidfVectorizer(ngram_range=(1, n))
    x = v.fit_transform(TEXTS)
    m = LogisticRegression(tol=1e-10, max_iter=10000).fit(x, LABELS)
    for j, term in enumerate(v.get_feature_names_out()):
        row = ", ".join(f"{x[i, j]:.12f}" for i in range(len(TEXTS)))
        print(f'    {{{n}, "{term}", {v.idf_[j]:.12f}, {{{row}}}, {m.coef_[0, j]:.9f}}},')
    rest.append(f"    {{{n}, {m.intercept_[0]:.9f}, {m.decision_function(v.transform([NEW]))[0]:.9f}}},")
print("};\nstatic const struct {\n    int ngrams;\n    double intercept, new_score;\n} models[] = {")
print("\n".join(rest) + "\n};")
