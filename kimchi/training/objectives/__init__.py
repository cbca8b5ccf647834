"""What the samples of a batch are asked: to be denoised, to be heard as the frozen base hears them, to fit their own name better than a look-alike's.

`ask` holds the losses, `prior` draws the base's own pictures, `look_alikes` finds the words of the contrast.
"""
