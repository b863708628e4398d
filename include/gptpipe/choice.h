/* choice.h: an enum and the names of its values, from one list.
 *
 *     #define GP_COLOURS(X) X(GP_COLOUR_RED, "red") X(GP_COLOUR_BLUE, "blue")
 *     typedef enum gp_colour { GP_COLOURS(GP_CHOICE_VALUE) } gp_colour;
 *
 *     static const char *const names[] = {GP_COLOURS(GP_CHOICE_NAME)};          // names[GP_COLOUR_RED]
 *     {"colour", .type = GP_OPT_CHOICE, .choices = GP_CHOICES(GP_COLOURS)}      // an option whose field is a gp_colour
 *
 * If the first name is "", the first value means that the option is not given.
 */
#ifndef GPTPIPE_CHOICE_H
#define GPTPIPE_CHOICE_H

#include "gptpipe/error.h"

#define GP_CHOICE_VALUE(value, name) value,
#define GP_CHOICE_NAME(value, name)  name,
/* clang-format off */
#define GP_CHOICES(LIST)             (const char *const[]){LIST(GP_CHOICE_NAME) NULL} /* C only, at file scope */
/* clang-format on */

#endif
