"""Log-mel energies by kaldi-native-fbank, the reference for `workbench.features.logmel`."""

import kaldi_native_fbank
import numpy as np

from workbench.features.logmel import HIGH, LOW, MEL


def kaldi_log_mel(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return float32 [T, 40] of ``samples`` at 8000 or 16000 Hz, with the same options."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = rate
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = MEL
    options.mel_opts.low_freq = LOW
    options.mel_opts.high_freq = HIGH[rate]

    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(rate, np.asarray(samples, np.float32))
    fbank.input_finished()

    frames = [fbank.get_frame(t) for t in range(fbank.num_frames_ready)]
    return np.array(frames, np.float32).reshape(-1, MEL)
