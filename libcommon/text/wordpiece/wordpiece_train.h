/* wordpiece_train.h: trains a WordPiece vocabulary on counted words. */
#ifndef GP_TEXT_WORDPIECE_WORDPIECE_TRAIN_H
#define GP_TEXT_WORDPIECE_WORDPIECE_TRAIN_H

#include "text/bpe/bpe_train.h"

/* The settings of BertNormalizer of BERT, cased or uncased. */
gp_bert_switches gp_wordpiece_bert(bool cased);

/* See gp_bpe_trainer_new_wordpiece. */
gp_tokenizer *gp_wordpiece_learn(const gp_pieces *words, int64_t vocab_size, const gp_bert_switches *switches);

#endif
