"""Packages of the release: a wheel, a deb, an rpm and a tar archive. tools/package builds and checks them."""
