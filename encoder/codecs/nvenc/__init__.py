"""NVENC, the encoder of NVIDIA's cards, through PyNvVideoCodec.

The driver is spoken to in a process of its own (`worker.py`), for as long as the encoder lives: a driver that is lost
ends the process that speaks to it, and so takes no task with it that could go on elsewhere. The CUDA context stays open
there; a task opens a session and passes two pipes: raw frames in, the bitstream out. `worker_client.py` starts that
process and sends it requests, `codec.py` connects its pipes with two runs of FFmpeg, one that filters and one that puts
the result together.
"""
