"""Recognition with a trained model: test sets, single utterances, audio files, realignment."""
