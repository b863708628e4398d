/* folder.h: what else lies in a checkpoint's folder: the configuration, the tokenizer. */
#ifndef GP_CHECKPOINT_FOLDER_H
#define GP_CHECKPOINT_FOLDER_H

#include "checkpoint/checkpoint.h"

/* The folder of what is opened, fresh: the input itself, or a file's; NULL for stdin. */
char *gp_folder_of_input(const gp_checkpoint_input *in);

/* Whether transformers' from_pretrained takes what is opened, with the config.json in its folder: a folder, or a file
 * of this name. */
bool gp_folder_is_loadable(const gp_checkpoint_input *in, const char *name);

/* A whole file of a folder (NULL: none) as text; 1 when it is not there. */
int gp_folder_read(gp_buf *b, const char *folder, const char *name, size_t max);

/* folder_config.c: fills in c->config from config.json in the folder, or from `text` (length bytes; NULL: none), the
 * configuration that the weights' file carries; warns where both exist and differ. config_counts: the folder is what
 * transformers' from_pretrained loads, so config.json overrides text, and generation_config.json says what ends a
 * sample. 1: there is no configuration. */
int gp_folder_config(gp_checkpoint *c, const char *text, size_t length, const char *folder, bool config_counts);

/* folder_tokenizer.c: sets c's tokenizer: tokenizer.json in the folder, `text` (length bytes; NULL: none), the
 * tokenizer.json that the weights' file carries, or a folder's vocabulary files, of which the first is used where
 * config_counts, else the second; says where they differ. c->config is set. */
int gp_folder_tokenizer(gp_checkpoint *c, const char *text, size_t length, const char *folder, bool config_counts);

#endif
