/* choice.h: a closed list of names, written once beside its enum.
 *
 *     #define GP_COLOURS(X) X(GP_COLOUR_RED, "red") X(GP_COLOUR_BLUE, "blue")
 *     typedef enum gp_colour { GP_COLOURS(GP_CHOICE_VALUE) } gp_colour;
 *
 *     static const char *const names[] = {GP_COLOURS(GP_CHOICE_NAME)};          // names[GP_COLOUR_RED]
 *     {"colour", .type = GP_OPT_CHOICE, .choices = GP_CHOICES(GP_COLOURS)}      // an option whose field is a gp_colour
 *
 * A first value with the name "" is that of an option which is not given.
 */
#ifndef GPTPIPE_CHOICE_H
#define GPTPIPE_CHOICE_H

#include "gptpipe/error.h"

#define GP_CHOICE_VALUE(value, name) value,
#define GP_CHOICE_NAME(value, name)  name,
/* clang-format off */
#define GP_CHOICES(LIST)             (const char *const[]){LIST(GP_CHOICE_NAME) NULL} /* in C, outside of functions */
/* clang-format on */

#endif
