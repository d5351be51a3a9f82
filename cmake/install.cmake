# libtarn, shared and static, from the objects of the modules, and what `cmake --install` puts where:
#   bin/tarn   lib/libtarn.so*  lib/libtarn.a   include/tarn/**   lib/cmake/tarn/*   lib/pkgconfig/tarn.pc
# The test below installs into a fresh prefix and builds examples/ against it, by CMake and by pkg-config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(objects)
foreach(module base format memtable wal compaction local s3 cached tiered overlay location kernel)
  list(APPEND objects $<TARGET_OBJECTS:tarn_${module}>)
endforeach()
set(private_libs PkgConfig::URING PkgConfig::ZSTD PkgConfig::LZ4 CURL::libcurl EXPAT::EXPAT OpenSSL::Crypto
                 Threads::Threads)

foreach(kind shared static)
  string(TOUPPER ${kind} KIND)
  add_library(tarn_${kind} ${KIND} ${objects})
  target_link_libraries(tarn_${kind} PRIVATE ${private_libs})
  target_compile_features(tarn_${kind} PUBLIC cxx_std_20)
  target_include_directories(tarn_${kind} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                                                 $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(tarn_${kind} PROPERTIES OUTPUT_NAME tarn LINKER_LANGUAGE CXX)
endforeach()
set_target_properties(tarn_shared PROPERTIES EXPORT_NAME tarn VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR})
add_library(tarn::tarn ALIAS tarn_shared)
add_library(tarn::tarn_static ALIAS tarn_static)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tarn)
install(TARGETS tarn_shared EXPORT tarnTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS tarn_static EXPORT tarnStaticTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS tarn RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/tarn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(EXPORT tarnTargets NAMESPACE tarn:: DESTINATION ${package_dir})
install(EXPORT tarnStaticTargets NAMESPACE tarn:: DESTINATION ${package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/tarnConfig.cmake.in
                              ${CMAKE_BINARY_DIR}/package/tarnConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 every minor version may break the API.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/tarnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/tarn.pc.in ${CMAKE_BINARY_DIR}/package/tarn.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/tarnConfig.cmake ${CMAKE_BINARY_DIR}/package/tarnConfigVersion.cmake
        DESTINATION ${package_dir})
install(FILES ${CMAKE_BINARY_DIR}/package/tarn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# A sanitized library needs its sanitizer in the program, too; what an embedder meets is the plain build.
if(NOT TARN_ASAN AND NOT TARN_TSAN)
  add_test(NAME install COMMAND ${CMAKE_SOURCE_DIR}/tests/install/install_test.sh ${CMAKE_COMMAND} ${CMAKE_BINARY_DIR}
                                ${CMAKE_SOURCE_DIR}/examples ${CMAKE_CXX_COMPILER})
  set_tests_properties(install PROPERTIES TIMEOUT 300)
endif()
