/* descriptors.h: stdin, stdout and stderr of a process that was started without them. */
#pragma once

/* Of the descriptors 0, 1 and 2 those that are closed become ones that cannot be read or written. Else the next file
 * that is opened would be stdin, stdout or stderr: a checkpoint would be the prompt, and messages would go into it. */
void gp_standard_hold(void);
