"""Recording of one's own voice, sentence by sentence: the work of ``edgespeech record``."""
