/*
 * tensors - the contents of a safetensors file as float32, for networks, and as they are, for data.
 */
#ifndef MLP_TENSORS_H
#define MLP_TENSORS_H

#include "formats/layout.h"
#include "network.h"

struct tensor_file {
    char *path;
    int fd;
    struct layout *layout;
};

/* SEWA_E_NOT_FOUND, SEWA_E_IO, or what the format's reader says. */
int tensor_file_open(struct tensor_file *f, const char *path, struct sewa_error *err);
void tensor_file_close(struct tensor_file *f);

/* The bytes of one tensor, 64-byte aligned heap memory. */
int tensor_read(const struct tensor_file *f, const struct tensor *t, void **ret,
                struct sewa_error *err);

/* The same as float32; F64, F16 and BF16 are converted, other types are SEWA_E_UNSUPPORTED. */
int tensor_read_f32(const struct tensor_file *f, const struct tensor *t, float **ret,
                    struct sewa_error *err);

/* float32 of n values of a float type. Any overlap is forbidden. */
void tensor_to_f32(enum dtype type, const void *values, int64_t n, float *ret);

/* 64-byte aligned; released by free(). NULL when out of memory. At least one byte. */
void *aligned_new(size_t bytes);

/* The descriptions that network_find() wants, in the order of the file; names and shapes are
 * borrowed. NULL when out of memory. */
struct network_tensor *tensor_file_list(const struct tensor_file *f);

#endif
