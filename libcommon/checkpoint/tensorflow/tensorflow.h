/* tensorflow.h: TensorFlow's checkpoints (V2, "tensor bundle"), reading only: OpenAI's GPT-2 was published so. Files:
 *
 *     checkpoint                    text: model_checkpoint_path: "PREFIX"
 *     PREFIX.index                  a table in LevelDB's format (table.h): "" -> BundleHeaderProto, and the name of a
 *                                   tensor -> BundleEntryProto (tensorflow/core/protobuf/tensor_bundle.proto)
 *     PREFIX.data-00000-of-00001    the shards: tensors row-major, at their entries' offsets
 *     PREFIX.meta                   the graph, which is not read
 *
 *     BundleHeaderProto: 1 num_shards, 2 endianness (0 little, 1 big), 3 version {1 producer, 2 min_consumer}
 *     BundleEntryProto: 1 dtype, 2 shape {2 dim {1 size, 2 name}, 3 unknown_rank}, 3 shard_id, 4 offset, 5 size,
 *                       6 crc32c (fixed32, masked), 7 slices
 *
 * Each block of the index has a CRC-32C, which is checked when it is read, and so has each tensor: gp_container_check.
 * (Those of strings and variants also cover lengths; they are only listed, and not checked.) float, half, bfloat16 and
 * double are read. Refused: big-endian bundles, variables in slices (partitioned), checkpoints of version 1 (one file),
 * and names that, in total, take more than 64 times the index's bytes. */
#ifndef GP_CHECKPOINT_TENSORFLOW_TENSORFLOW_H
#define GP_CHECKPOINT_TENSORFLOW_TENSORFLOW_H

#include "checkpoint/container.h"

/* A bundle by the path of its index, which ends in ".index": the shards are beside it. */
gp_container *gp_tensorflow_read(const char *index);

/* tensorflow_format.c: where nothing has the name `path`, but PATH.index is there (TensorFlow calls a checkpoint by its
 * prefix): PATH.index, fresh; else NULL. */
char *gp_tensorflow_prefix(const char *path);

#endif
