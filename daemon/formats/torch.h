/*
 * torch - the tensors of a file that torch.save has written (since PyTorch 1.6, a zip archive):
 *
 *     <any name>/data.pkl       a pickle: dictionaries, and tensors that refer to storages
 *     <any name>/data/<key>     a storage: bytes, without compression
 *     <any name>/byteorder      "little" (newer versions)
 *     <any name>/version        "3" ...
 *
 * The pickle is read by a machine that can call nothing (pickle.h). Of what it says, one
 * dictionary of names and tensors is taken, the state, and all else is left aside, with a note.
 * Where a tensor is needed, anything that is not understood is a refusal that names it.
 *
 * Tensors are where PyTorch would see them: with offset and strides within their storage, which
 * must be as long as the pickle says, and must hold every element. What cannot be averaged or
 * carried as it is (sparse, quantized, distributed, complex of 128 bits...) is refused by name.
 */
#ifndef FORMATS_TORCH_H
#define FORMATS_TORCH_H

#include "formats/checkpoint.h"
#include "formats/window.h"

/*
 * @name is for messages. SEWA_E_CORRUPT, SEWA_E_INCOMPLETE (the archive has no end yet),
 * SEWA_E_UNSUPPORTED (another kind of file, with how to save it again), SEWA_E_IO or
 * SEWA_E_NO_MEMORY. The header digest is SHA-256 over that of the central directory, which has the
 * checksums of all storages, and the pickle. Blocks; thread: any.
 */
int torch_read(int fd, const char *name, int64_t bytes, const struct checkpoint_options *options,
               struct layout **ret, struct sewa_error *err);

/* The same on bytes in memory (fuzzing and tests). */
int torch_parse(const void *bytes, size_t n, const char *name,
                const struct checkpoint_options *options, struct layout **ret,
                struct sewa_error *err);

#endif
