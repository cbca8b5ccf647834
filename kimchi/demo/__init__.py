"""The booth: KIMCHI in front of people. A page for visitors, a page for the staff, and a check before the doors open."""
