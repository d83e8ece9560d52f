/*
 * dcp - checkpoints of torch.distributed.checkpoint: a directory with .metadata and parts.
 */
#include "formats/directory.h"

int directory_read_dcp(const struct directory *d, struct layout **ret)
{
    (void)ret;
    return sewa_fail(d->err, SEWA_E_UNSUPPORTED,
                     "'%s' is a distributed checkpoint: convert it with 'python -m "
                     "torch.distributed.checkpoint.format_utils dcp_to_torch %s model.pt'",
                     d->name, d->name);
}
