"""The model room: one forward pass. No loop over time, and no disk but in `checkpoint`.

Shape letters, here and in every signature of this room: b batch, s packed tokens, t tokens of one part, n heads, m key/value
heads, e head size, d width, u key slots, l layers or latent tokens, v ViT patches, c h w image, z latent channels, p patch.
"""
