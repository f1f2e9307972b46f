/* The seats for sessions that all processes of one control file share, as GeForce's limit is one of the whole machine.
 */
#ifndef NVDRIVER_SEAT_H
#define NVDRIVER_SEAT_H

/* A free seat below `limit` (0 for no limit), to be given back by seat_leave; -1 when all are taken. */
int seat_take(long limit);

void seat_leave(int seat);

#endif
