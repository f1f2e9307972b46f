/* The faults and facts that a test asks for, read anew whenever the control file was replaced. */
#ifndef NVDRIVER_CONTROL_H
#define NVDRIVER_CONTROL_H

/* The value of a setting, or `otherwise` where the control file does not name it. */
long control_number(const char *name, long otherwise);

/* Copies the value of a setting (or `otherwise`) into `into`. */
void control_text(const char *name, const char *otherwise, char *into, unsigned long bytes);

#endif
