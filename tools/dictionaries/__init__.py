"""Dictionaries: sparse autoencoders and transcoders, read from the files of any tool that writes them.

dictionary      what a dictionary is: encode, decode
activations     the functions that make a latent's activation of its pre-activation
read            from a folder or file of any known format; `formats` has one module for each
hub, registry   names on a hub or in SAELens' registry
write           in the forms of SAELens and sparsify
check           the variance that one explains, next to permuted decoder rows and other places
fold            moves what one expects of its input into its weights
places          names of hooks in other tools, as places of the forward pass
train           trains one on a subject's vectors, in steps that a killed process resumes
"""
