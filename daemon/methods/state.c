/*
 * state - arrays of numbers inside a saved state.
 */
#include "methods/state.h"

#include <math.h>

json_t *state_numbers(const double *x, size_t n)
{
    AUTOJSON json_t *array = json_array();

    if (!array)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(array, json_number_or_null(x[i])) < 0)
            return NULL;
    return TAKE(array);
}

void state_read_numbers(struct json_reader *r, const char *name, double min, double max,
                        enum state_null null, double *x, size_t n)
{
    const json_t *array = json_get_array(r, name);

    if (r->rc == 0 && json_array_size(array) != n)
        json_reader_fail(r, SEWA_E_CORRUPT, name, "'%s' has %zu numbers, %zu are needed", name,
                         json_array_size(array), n);
    for (size_t i = 0; i < n && r->rc == 0; i++) {
        const json_t *value = json_array_get(array, i);
        bool is_null = json_is_null(value) && null == STATE_NULL_ALLOWED;
        x[i] = is_null ? NAN : json_number_value(value);
        if (!is_null && (!json_is_number(value) || !(x[i] >= min && x[i] <= max)))
            json_reader_fail(r, SEWA_E_CORRUPT, name, "'%s' has no number from %g to %g at %zu",
                             name, min, max, i);
    }
}
