"""Ten spoken words as MFCC arrays. The speech synthesizer espeak-ng speaks them.

The sound is synthetic speech, no recording of people: 40 voices speak each word at several speeds
and pitches, with noise and a random start. The voices of the test samples are in no training
sample. Install the synthesizer first: `apt-get install espeak-ng`.
"""

import io
import itertools
import subprocess
import wave
from pathlib import Path

import numpy as np

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp")
SPEAKERS = ("m1", "m2", "m3", "m4", "m5", "m6", "f1", "f2", "f3", "f4")
#: Speakers that are heard in test samples only.
TEST_SPEAKERS = ("m5", "f4")
SPEEDS = (130, 160, 200)
PITCHES = (35, 60)
#: Samples made of one spoken word, each with other noise and another start.
COPIES = 2
RATE = 16_000
#: Frames of 40 ms, each 20 ms after the one before, and coefficients of each.
FRAMES, COEFFICIENTS = 49, 10
_WINDOW, _STEP, _MELS = 640, 320, 40
_CACHE = Path(__file__).with_name("data.npz")


def load():
    """Return the samples; they are made once and kept in data.npz.

    Returns:
        x_train and x_test: float32, (n, 49, 10, 1), MFCCs. y_train and y_test: int64, (n,), 0-9.
    """
    if not _CACHE.exists():
        np.savez_compressed(_CACHE, **_make())
    with np.load(_CACHE) as arrays:
        return dict(arrays)


def _make():
    random = np.random.default_rng(0)
    parts = {"x_train": [], "y_train": [], "x_test": [], "y_test": []}
    settings = itertools.product(ACCENTS, SPEAKERS, SPEEDS, PITCHES)
    for accent, speaker, speed, pitch in settings:
        split = "test" if speaker in TEST_SPEAKERS else "train"
        for label, word in enumerate(WORDS):
            sound = speak(word, f"{accent}+{speaker}", speed, pitch)
            for _ in range(COPIES):
                parts[f"x_{split}"].append(mfcc(place(sound, random)))
                parts[f"y_{split}"].append(label)
    return {
        name: np.asarray(values, np.float32 if name[0] == "x" else np.int64)
        for name, values in parts.items()
    }


def speak(word, voice, speed, pitch):
    """Return a spoken word, (samples,), -1 to 1, at 16,000 samples a second."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word]
    sound = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(sound)) as file:
        rate, frames = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(frames, np.int16) / 32768
    times = np.arange(0, len(samples) / rate, 1 / RATE)
    return np.interp(times, np.arange(len(samples)) / rate, samples)


def place(sound, random):
    """Return one second, (16000,), with the word at a random start and noise behind it."""
    sound = sound[np.argmax(np.abs(sound) > 0.01) :][:RATE]
    start = random.integers(0, max(1, RATE - len(sound)))
    second = random.normal(0, random.uniform(0.01, 0.08), RATE)
    second[start : start + len(sound)] += sound
    return second


def mfcc(second):
    """Return the mel-frequency cepstral coefficients of a second, (49, 10, 1)."""
    frames = np.lib.stride_tricks.sliding_window_view(second, _WINDOW)[::_STEP][:FRAMES]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2
    levels = np.log(power @ _mel_filters().T + 1e-6)
    angles = np.pi / _MELS * (np.arange(_MELS) + 0.5)
    cosines = np.cos(np.outer(np.arange(COEFFICIENTS), angles)) * np.sqrt(2 / _MELS)
    return (levels @ cosines.T)[..., np.newaxis] / 10


def _mel_filters():
    highest = 2595 * np.log10(1 + 4000 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, _MELS + 2) / 2595) - 1)
    lines = np.fft.rfftfreq(_WINDOW, 1 / RATE)
    rising = (lines - edges[:-2, np.newaxis]) / np.diff(edges)[:-1, np.newaxis]
    falling = (edges[2:, np.newaxis] - lines) / np.diff(edges)[1:, np.newaxis]
    return np.maximum(0, np.minimum(rising, falling))
