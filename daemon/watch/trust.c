/*
 * trust - is this the directory that we know?
 */
#include "watch/trust.h"

bool trust_listing(const struct trust_identity *before, const struct trust_listing *l)
{
    if (l->known == 0 || l->present > 0)
        return true;
    if (before->is_set && before->device != l->now.device)
        return false;
    if (before->is_set && before->inode == l->now.inode)
        return true;
    return l->entries > 0;
}
